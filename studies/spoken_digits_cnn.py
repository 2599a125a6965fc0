"""Which convolutional network hears the ten digits best, and how is it trained?

The rows are log-mel spectrograms of a second, 99 frames of 40 bands; the test is the dataset's own: recordings 0 to 4
of each digit and speaker. `spoken_digits_speakers.py` asks the same of speakers that were never heard.
Scientific: blocks, filters, kernel_size, dense_units, batch_normalization.
Nuisance: optimizer and its own hyperparameters, batch_size, dropout, label smoothing, shift of time and pitch.
Fixed: relu, 2x2 max-pooling, one stratified holdout of a tenth.
"""

import keras
import optuna

from autotune import Dataset, Holdout, StudySpec, models, spaces


def adamw(trial: optuna.Trial) -> keras.optimizers.Optimizer:
    return spaces.adamw(trial, learning_rate=(3e-4, 5e-3), one_minus_beta_1=0.1, one_minus_beta_2=0.001)


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    shift = trial.suggest_float("shift", 0.0, 0.2)
    return models.build_cnn(
        data,
        **spaces.structure(
            trial, blocks=(3, 4), filters=(16, 24, 32), pooling="max", dense_units=(64, 128), activation="relu"
        ),
        padding="same",
        batch_normalization=spaces.batch_normalization(trial),
        dropout=spaces.dropout(trial),
        l2=0.0,
        augmentation=[keras.layers.RandomTranslation((-0.05, 0.05), (-shift, shift), fill_mode="nearest")],
        optimizer=adamw(trial),
        loss=spaces.smoothed_cross_entropy(trial),
    )


def fit(trial: optuna.Trial) -> dict:
    return {"batch_size": spaces.batch_size(trial, (32, 64)), "callbacks": spaces.cosine(trial, EPOCHS, warmup=0.1)}


EPOCHS = 15

study = StudySpec(
    name="spoken-digits-cnn",
    dataset="spoken-digits",
    folds=Holdout(0.1),
    build=build,
    fit=fit,
    monitor="val_accuracy",
    direction="maximize",
    one_hot=True,
    epochs=EPOCHS,
    n_trials=20,
    seed=0,
    guess=None,  # as its result was measured, before the usual values of `spaces` were a guess
)
