"""A small study that was begun, and stopped in its third trial."""

import keras

from autotune import Holdout, StudySpec


def build(trial, data):
    model = keras.Sequential(
        [
            keras.Input(data.input_shape),
            keras.layers.Flatten(),
            keras.layers.Dropout(trial.suggest_float("dropout", 0.0, 0.5)),
            keras.layers.Dense(data.n_classes, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


study = StudySpec(
    name="begun",
    dataset="digits",
    folds=Holdout(0.2),
    build=build,
    monitor="val_accuracy",
    direction="maximize",
    epochs=3,
    n_trials=4,
    seed=0,
)
