"""Which network writes down strings of two to four spoken digits with the fewest mistakes?

A row joins recordings of one speaker, without the silence around them: frames of 10 ms, 40 bands, as long as they are.
The targets are the digits plus one, because zero is what fills short rows and the blank of the CTC loss (Graves, 2006).
Scientific: filters, units, layers.  Nuisance: learning_rate, batch_size, dropout.
Fixed: a convolution that halves the frames, bidirectional GRUs, Adam, 20 epochs, a fifth held out, greedy decoding.
"""

from itertools import groupby
from pathlib import Path

import keras
import numpy as np
import optuna

from autotune import Dataset, Holdout, StudySpec
from autotune.data import load_development


def development(data_dir: Path | None) -> Dataset:
    heard = load_development("spoken-digits", data_dir)
    sounds = [one[one.max(axis=1) > one.min() + 1.0] for one in heard.x[..., 0]]
    rng, x, y, speakers = np.random.default_rng(0), [], [], []
    for speaker in np.unique(heard.groups):
        rest = rng.permutation(np.flatnonzero(heard.groups == speaker))
        while len(rest) >= 4:  # each recording is in one row only
            chosen, rest = np.split(rest, [rng.integers(2, 5)])
            x.append(np.concatenate([sounds[one] for one in chosen]))
            y.append(heard.y[chosen] + 1)
            speakers.append(speaker)
    return Dataset(x, y, stratify=np.array(speakers), name="strings of spoken digits")


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    layers = keras.layers
    frames = keras.Input(data.input_shape)
    x = layers.Conv1D(trial.suggest_categorical("filters", [32, 64]), 5, 2, padding="same", activation="relu")(frames)
    for _ in range(trial.suggest_int("layers", 1, 2)):
        x = layers.BatchNormalization()(x)
        x = layers.Bidirectional(layers.GRU(trial.suggest_categorical("units", [32, 64]), return_sequences=True))(x)
    x = layers.Dropout(trial.suggest_float("dropout", 0.0, 0.5))(x)
    model = keras.Model(frames, layers.Dense(11)(x))
    rate = trial.suggest_float("learning_rate", 1e-3, 1e-2, log=True)
    model.compile(keras.optimizers.Adam(rate, clipnorm=5.0), loss=keras.losses.CTC())
    return model


def fit(trial: optuna.Trial) -> dict:
    return {"batch_size": trial.suggest_categorical("batch_size", [16, 32])}


def distance(one: list, other: list) -> int:
    """Return the edit distance of Levenshtein: insertions, deletions and replacements from one list to the other."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def score(model: keras.Model, rows: Dataset) -> dict:
    best = model.predict(rows.x.padded(), verbose=0).argmax(axis=-1)
    found = [[symbol for symbol, _ in groupby(line) if symbol] for line in best.tolist()]
    mistakes = [distance(one, digits.tolist()) for one, digits in zip(found, rows.y, strict=True)]
    return {"digit_error_rate": sum(mistakes) / rows.y.lengths.sum()}


study = StudySpec(
    name="digit-strings-ctc",
    dataset=development,
    folds=Holdout(0.2),
    build=build,
    fit=fit,
    score=score,
    monitor="digit_error_rate",
    direction="minimize",
    epochs=20,
    n_trials=20,
    seed=0,
)
