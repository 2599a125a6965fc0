"""How well can the article's network read MNIST, once its training is tuned where `mnist_cnn.py` says that it matters?

The second search, in what is left of the whole space: small networks, Adam, the regularizers and schedules that helped.
Scientific: batch_normalization, dropout, penalty, augmentation, label smoothing, schedule.
Nuisance: filters, dense_units, learning_rate, batch_size.
Fixed: three blocks of 3x3 kernels, relu, 2x2 max-pooling, Adam, 10 epochs, one stratified holdout of a tenth.
"""

import keras
import optuna

from autotune import Dataset, Holdout, StudySpec, models, spaces

EPOCHS = 10


def adam(trial: optuna.Trial) -> keras.optimizers.Optimizer:
    return spaces.adam(
        trial, learning_rate=(5e-4, 5e-3), one_minus_beta_1=0.1, one_minus_beta_2=0.001, epsilon=1e-7, amsgrad=False
    )


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    return models.build_cnn(
        data,
        **spaces.structure(
            trial,
            blocks=3,
            filters=(24, 32),
            kernel_size=3,
            pooling="max",
            dense_units=(64, 128),
            activation="relu",
        ),
        batch_normalization=spaces.batch_normalization(trial),
        dropout=spaces.dropout(trial, (0.0, 0.5)),
        penalty=spaces.penalty(trial, [spaces.none, spaces.l2]),
        augmentation=spaces.augmentation(trial, translation=(0.0, 0.1), rotation=(0.0, 0.04), zoom=(0.0, 0.1)),
        optimizer=adam(trial),
        loss=spaces.loss(trial, [spaces.cross_entropy, spaces.smoothed_cross_entropy]),
    )


def fit(trial: optuna.Trial) -> dict:
    return {
        "batch_size": spaces.batch_size(trial, (64, 128)),
        "callbacks": spaces.schedule(trial, EPOCHS, [spaces.constant, spaces.cosine]),
    }


ARTICLE = {
    "filters": 32,
    "dense_units": 64,
    "batch_normalization": False,
    "dropout": 0.0,
    "penalty": "l2",
    "l2": 1e-3,
    "translation": 0.0,
    "rotation": 0.0,
    "zoom": 0.0,
    "adam_learning_rate": 1e-3,
    "loss": "cross_entropy",
    "batch_size": 64,
    "schedule": "constant",
}

study = StudySpec(
    name="mnist-refined",
    dataset="mnist",
    folds=Holdout(0.1),
    build=build,
    fit=fit,
    monitor="val_accuracy",
    direction="maximize",
    one_hot=True,
    epochs=EPOCHS,
    n_trials=16,
    seed=0,
    baseline=ARTICLE,
    pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=3, reduction_factor=3),
)
