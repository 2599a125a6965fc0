"""Which convolutional network reads the 8x8 digits best in ten-fold cross-validation, and how is it trained?

Scientific: blocks, filters, dense_units, batch_normalization, activation.
Nuisance: learning_rate, weight decay and warm-up, batch_size, dropout, label smoothing, shift, turn and zoom.
Fixed: AdamW, 3x3 kernels, 2x2 max-pooling, padding that keeps the size, 30 epochs, 10 stratified folds. The last epoch
counts: the best one of each fold would be chosen on the very rows that measure it.
"""

import keras
import optuna

from autotune import Dataset, KFold, StudySpec, models, spaces

EPOCHS = 30


def adamw(trial: optuna.Trial) -> keras.optimizers.Optimizer:
    return spaces.adamw(trial, learning_rate=(5e-4, 1e-2), one_minus_beta_1=0.1, one_minus_beta_2=0.001)


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    return models.build_cnn(
        data,
        **spaces.structure(
            trial,
            blocks=(2, 3),
            filters=(32, 48, 64),
            kernel_size=3,
            pooling="max",
            dense_units=(64, 128, 256),
            activation=("relu", "gelu"),
        ),
        padding="same",
        batch_normalization=spaces.batch_normalization(trial),
        dropout=spaces.dropout(trial),
        l2=0.0,
        augmentation=spaces.augmentation(trial, translation=(0.0, 0.12), rotation=(0.0, 0.05), zoom=(0.0, 0.15)),
        optimizer=adamw(trial),
        loss=spaces.smoothed_cross_entropy(trial),
    )


def fit(trial: optuna.Trial) -> dict:
    return {"batch_size": spaces.batch_size(trial, (32, 64)), "callbacks": spaces.cosine(trial, EPOCHS)}


study = StudySpec(
    name="digits-folds",
    dataset="digits",
    folds=KFold(10),
    build=build,
    fit=fit,
    monitor="val_accuracy",
    direction="maximize",
    one_hot=True,
    epochs=EPOCHS,
    epoch_policy="last",
    n_trials=25,
    seed=0,
    guess=None,  # as its result was measured, before the usual values of `spaces` were a guess
)
