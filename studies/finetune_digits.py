"""How long should a new head be trained before the base, which knows other digits, may change too?

The base reads the digits 0 to 4; `build` trains it on all their rows. The study's rows are the digits 5 to 9, of which
each of three splits trains on fifty. Stage one trains a head on the frozen base, stage two everything, at a lower rate.
Scientific: head_epochs (of 20 altogether).  Nuisance: head_rate, rate.
Fixed: two convolutions, Adam, batches of ten, the last epoch, three splits of 50 and 600 rows.
"""

import keras
import numpy as np
import optuna
from sklearn.model_selection import StratifiedShuffleSplit

from autotune import Dataset, StudySpec
from autotune.data import load_development

EPOCHS = 20


def rows_of(first: int) -> tuple[np.ndarray, np.ndarray]:
    digits = load_development("digits")
    chosen = (digits.y >= first) & (digits.y < first + 5)
    return digits.x[chosen], digits.y[chosen] - first


def development() -> Dataset:
    return Dataset(*rows_of(5), name="the digits 5 to 9")


def compiled(model: keras.Model, rate: float) -> keras.Model:
    model.compile(keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def trained_base() -> keras.Model:
    base = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.Flatten(),
        ],
        name="base",
    )
    whole = keras.Sequential([base, keras.layers.Dense(5, activation="softmax")])
    compiled(whole, 2e-3).fit(*rows_of(0), batch_size=32, epochs=8, verbose=0)
    return base


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    base = trained_base()
    base.trainable = False
    model = keras.Sequential([base, keras.layers.Dense(data.n_classes, activation="softmax")])
    return compiled(model, trial.suggest_float("head_rate", 1e-3, 3e-2, log=True))


def fit(trial: optuna.Trial) -> list[dict]:
    head_epochs = trial.suggest_int("head_epochs", 1, EPOCHS - 1)
    rate = trial.suggest_float("rate", 1e-5, 3e-3, log=True)

    def unfreeze(model: keras.Model) -> None:
        model.get_layer("base").trainable = True
        compiled(model, rate)

    stages = {"epochs": head_epochs}, {"epochs": EPOCHS - head_epochs, "before": unfreeze}
    return [{"batch_size": 10, **stage} for stage in stages]


study = StudySpec(
    name="finetune-digits",
    dataset=development,
    folds=StratifiedShuffleSplit(3, train_size=50, test_size=600),
    build=build,
    fit=fit,
    monitor="val_accuracy",
    direction="maximize",
    epoch_policy="last",
    n_trials=20,
    seed=0,
)
