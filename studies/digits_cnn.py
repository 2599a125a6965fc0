"""Which convolutional network reads scikit-learn's 8x8 digits best, and how is it trained?

Scientific: blocks, filters, kernel_size, dense_units.
Nuisance: optimizer and its own hyperparameters, batch_size, dropout, l2.
Fixed: relu, 2x2 max-pooling, padding that keeps the size, 20 epochs, one stratified holdout of a tenth.
"""

import keras
import optuna

from autotune import Dataset, Holdout, StudySpec, models


def optimizer(trial: optuna.Trial) -> keras.optimizers.Optimizer:
    if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "adam":
        return keras.optimizers.Adam(trial.suggest_float("adam_learning_rate", 3e-4, 1e-2, log=True))
    return keras.optimizers.SGD(
        trial.suggest_float("sgd_learning_rate", 1e-2, 3e-1, log=True),
        momentum=trial.suggest_float("sgd_momentum", 0.0, 0.95),
        nesterov=True,
    )


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    return models.build_cnn(
        data,
        blocks=trial.suggest_int("blocks", 1, 3),
        filters=trial.suggest_categorical("filters", [16, 32, 48]),
        kernel_size=trial.suggest_categorical("kernel_size", [3, 5]),
        dense_units=trial.suggest_int("dense_units", 32, 128, step=32),
        padding="same",
        dropout=trial.suggest_float("dropout", 0.0, 0.5),
        l2=trial.suggest_float("l2", 1e-6, 1e-2, log=True),
        optimizer=optimizer(trial),
    )


def fit(trial: optuna.Trial) -> dict:
    return {"batch_size": trial.suggest_categorical("batch_size", [32, 64, 128])}


ARTICLE = {
    "blocks": 3,
    "filters": 32,
    "kernel_size": 3,
    "dense_units": 64,
    "dropout": 0.0,
    "l2": 1e-3,
    "optimizer": "adam",
    "adam_learning_rate": 1e-3,
    "batch_size": 64,
}

study = StudySpec(
    name="digits-cnn",
    dataset="digits",
    folds=Holdout(0.1),
    build=build,
    fit=fit,
    monitor="val_accuracy",
    direction="maximize",
    epochs=20,
    n_trials=30,
    seed=0,
    baseline=ARTICLE,
    pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=3, n_min_trials=5),
)
