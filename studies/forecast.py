"""Which network forecasts the next day of an hourly series best, and does it beat "as a week ago"?

The series is made by a formula, like the electricity that a town uses: a trend, a daily cycle that is flatter at the
weekend, a weekly cycle, and noise that fades over hours (autoregressive, 0.9). A row is a week of hours, and the next
day is predicted. The seasonal naive forecast repeats the same day of the week before; `naive_error` computes its mean
absolute error, and a score below 1 beats it.
Scientific: network, residual (whether it predicts the difference from the seasonal naive forecast).
Nuisance: units, learning_rate, batch_size.  Fixed: Adam, mean absolute error, 10 epochs, the newest fifth held out.
"""

import keras
import numpy as np
import optuna

from autotune import Dataset, Latest, StudySpec, windows

DAY, WEEK, N_TEST = 24, 7 * 24, 8 * 7 * 24


def series(n: int = 44 * WEEK) -> np.ndarray:
    hours, rng = np.arange(n), np.random.default_rng(0)
    noise = np.zeros(n)
    for hour in range(1, n):
        noise[hour] = 0.9 * noise[hour - 1] + rng.normal(0.0, 0.15)
    is_weekend = hours // DAY % 7 >= 5
    daily = np.where(is_weekend, 0.5, 1.0) * -np.cos(2 * np.pi * (hours - 3) / DAY)
    return (3.0 + 1e-4 * hours + daily + 0.3 * np.sin(2 * np.pi * hours / WEEK) + noise).astype("float32")


def development() -> Dataset:
    return windows(series()[:-N_TEST], WEEK, DAY, step=3, name="hourly series")


def test() -> Dataset:
    return windows(series()[-N_TEST:], WEEK, DAY, step=3, name="hourly series")


def naive_error(rows: Dataset) -> float:
    return float(np.abs(rows.x[:, :DAY] - rows.y).mean())


def score(model: keras.Model, rows: Dataset) -> dict:
    error = np.abs(model.predict(rows.x, verbose=0) - rows.y).mean()
    return {"error_to_naive": error / naive_error(rows)}


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    layers = keras.layers
    kind = trial.suggest_categorical("network", ["dense", "convolution", "gru"])
    units = trial.suggest_int("units", 16, 64, log=True)
    inputs = keras.Input(data.input_shape)
    scaled = layers.Rescaling(1.0, offset=-float(data.x.mean()))(inputs)
    if kind == "dense":
        features = layers.Dense(units, activation="relu")(scaled)
    else:
        days = layers.Reshape((7, DAY))(scaled)
        one_by_one = layers.GRU(units) if kind == "gru" else layers.Conv1D(units, 3, activation="relu")
        features = layers.Flatten()(one_by_one(days))
    outputs = layers.Dense(DAY)(features)
    if trial.suggest_categorical("residual", [True, False]):
        outputs = layers.Add()([outputs, layers.Cropping1D((0, WEEK - DAY))(layers.Reshape((WEEK, 1))(inputs))[..., 0]])
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True)), loss="mae")
    return model


def fit(trial: optuna.Trial) -> dict:
    return {"batch_size": trial.suggest_categorical("batch_size", [16, 32, 64])}


study = StudySpec(
    name="forecast",
    dataset=development,
    test_dataset=test,
    folds=Latest(0.2),
    build=build,
    fit=fit,
    score=score,
    monitor="error_to_naive",
    direction="minimize",
    epochs=10,
    n_trials=20,
    seed=0,
)
