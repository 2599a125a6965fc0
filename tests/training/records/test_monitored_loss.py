"""A loss that is monitored is the same in all trials, or the study file is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import optuna
import pytest

import autotune
from autotune.errors import TrainingError
from autotune.training.records.monitored_loss import describe_loss

pytestmark = pytest.mark.usefixtures("no_places_from_outside")

STUDY = """
import keras
from autotune import Holdout, StudySpec, spaces

def build(trial, data):
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(),
        keras.layers.Dense(data.n_classes, activation="softmax", kernel_regularizer={penalty})])
    model.compile(optimizer="adam", loss={loss}, metrics=["accuracy"])
    return model

study = StudySpec(name="toy", dataset="digits", folds=Holdout(0.2), build=build, monitor="{monitor}",
    direction="{direction}", epochs=1, n_trials=4, seed=0, one_hot=True)
"""
SMOOTHED = "spaces.smoothed_cross_entropy(trial)"
PENALTY = "keras.regularizers.L2(trial.suggest_float('l2', 1e-6, 1e-2, log=True))"


def _model(loss: Any, **options: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax", **options)])
    model.compile(loss=loss)
    return model


def _weighted(y_true: Any, y_pred: Any) -> Any:
    return y_pred


@pytest.mark.parametrize(
    "made",
    [
        lambda: _model("mse"),
        lambda: _model(keras.losses.CategoricalCrossentropy(label_smoothing=0.1)),
        lambda: _model(keras.losses.CategoricalCrossentropy(label_smoothing=0.2)),
        lambda: _model(_weighted),
        lambda: _model(["mse"]),
        lambda: _model("mse", kernel_regularizer="l2"),
        lambda: _model("mse", kernel_regularizer=keras.regularizers.L2(0.5)),
        lambda: _model("mse", activity_regularizer="l1"),
    ],
)
def test_losses_are_told_from_each_other_and_from_nothing_else(made: Callable[[], keras.Model], seen: set[str]) -> None:
    found = describe_loss(made())
    assert found == describe_loss(made())
    assert found not in seen
    seen.add(found)


@pytest.fixture(scope="module", name="seen")
def _seen() -> set[str]:
    return set()


@pytest.mark.trains
@pytest.mark.parametrize(
    ("loss", "penalty", "words", "workers"),
    [(SMOOTHED, None, "label_smoothing=", 2), ("'categorical_crossentropy'", PENALTY, r"L2\(l2=", 1)],
)
def test_a_study_that_monitors_a_loss_that_trials_choose_is_told(
    tmp_path: Path, run_dir: Path, loss: str, penalty: str | None, words: str, workers: int
) -> None:
    file = tmp_path / "study.py"
    file.write_text(STUDY.format(loss=loss, penalty=penalty, monitor="val_loss", direction="minimize"))
    with pytest.raises(TrainingError, match=rf'(?s)trials have different losses.*{words}.*{words}.*monitor="val_accur'):
        autotune.run(file, run_dir=run_dir, workers=workers)
    states = [
        trial.state for trial in optuna.load_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db").trials
    ]
    assert optuna.trial.TrialState.RUNNING not in states


@pytest.mark.trains
@pytest.mark.parametrize(
    ("loss", "monitor", "direction"),
    [(SMOOTHED, "val_accuracy", "maximize"), ("'categorical_crossentropy'", "val_loss", "minimize")],
)
def test_a_metric_or_one_loss_for_all_may_be_monitored(
    tmp_path: Path, run_dir: Path, loss: str, monitor: str, direction: str
) -> None:
    file = tmp_path / "study.py"
    extra = "None if trial.suggest_int('x', 0, 9) else None"
    file.write_text(STUDY.format(loss=loss, penalty=extra, monitor=monitor, direction=direction))
    study = autotune.run(file, run_dir=run_dir, workers=2, n_trials=2)
    assert sum(trial.state.is_finished() for trial in study.trials) == 2
