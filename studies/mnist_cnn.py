"""Which convolutional network reads the handwritten digits of MNIST best, and how is it trained?

The whole space of the article: structure, loss, optimizer, schedule, regularization and augmentation.
Scientific: blocks, filters, pooling, dense_units, activation, batch_normalization, loss.
Nuisance: optimizer and schedule with their own hyperparameters, batch_size, dropout, penalty, augmentation.
Fixed: the article's 3x3 kernels, padding ("valid" where images are large enough), 10 epochs and holdout of a tenth.
"""

import keras
import optuna

from autotune import Dataset, Holdout, StudySpec, models, spaces

EPOCHS = 10


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    return models.build_cnn(
        data,
        **spaces.structure(trial, filters=(16, 24, 32), kernel_size=3),
        batch_normalization=spaces.batch_normalization(trial),
        dropout=spaces.dropout(trial),
        penalty=spaces.penalty(trial),
        augmentation=spaces.augmentation(trial, translation=(0.0, 0.12), rotation=(0.0, 0.05), zoom=(0.0, 0.12)),
        optimizer=spaces.optimizer(trial),
        loss=spaces.loss(trial),
    )


def fit(trial: optuna.Trial) -> dict:
    return {"batch_size": spaces.batch_size(trial), "callbacks": spaces.schedule(trial, EPOCHS)}


ARTICLE = {
    "blocks": 3,
    "filters": 32,
    "pooling": "max",
    "dense_units": 64,
    "activation": "relu",
    "batch_normalization": False,
    "dropout": 0.0,
    "penalty": "l2",
    "l2": 1e-3,
    "translation": 0.0,
    "rotation": 0.0,
    "zoom": 0.0,
    "optimizer": "adam",
    "adam_learning_rate": 1e-3,
    "adam_one_minus_beta_1": 0.1,
    "adam_one_minus_beta_2": 1e-3,
    "adam_epsilon": 1e-7,
    "adam_amsgrad": False,
    "loss": "cross_entropy",
    "schedule": "constant",
    "batch_size": 64,
}

study = StudySpec(
    name="mnist-cnn",
    dataset="mnist",
    folds=Holdout(0.1),
    build=build,
    fit=fit,
    monitor="val_accuracy",
    direction="maximize",
    one_hot=True,
    epochs=EPOCHS,
    n_trials=30,
    seed=0,
    baseline=ARTICLE,
    pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=3),
)
