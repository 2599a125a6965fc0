"""How good is the article's network with the article's settings? The baseline that a search has to beat.

Scientific: none.  Nuisance: none.
Fixed: everything: 32-64-64 filters of 3x3, Dense 64, Adam 0.001, batches of 64, 10 epochs, a tenth held out, L2 0.001
(which the article sets but never uses).

The data are scikit-learn's digits, so that it runs anywhere; write "mnist" for the article's own.
"""

import keras
import optuna

from autotune import Dataset, Holdout, StudySpec, models


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    return models.build_cnn(data)


def fit(trial: optuna.Trial) -> dict:
    return {"batch_size": 64}


study = StudySpec(
    name="article-cnn",
    dataset="digits",
    folds=Holdout(0.1),
    build=build,
    fit=fit,
    monitor="val_accuracy",
    direction="maximize",
    epochs=10,
    n_trials=1,
    seed=0,
)
