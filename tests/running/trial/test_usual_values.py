"""What is usual is found before the first trial, with the network that is built then anyway."""

from __future__ import annotations

from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
import pytest

from autotune import Dataset, StudySpec, spaces
from autotune.running.study.source import study_source
from autotune.running.trial.preparing import Prepare
from autotune.running.trial.search_space import PastTrial

X, Y = np.ones((40, 2), np.float32), np.tile([0, 1], 20)
OPTIMIZERS = [spaces.sgd, spaces.lion]
USUAL = {
    **{"dropout": 0.2, "batch_size": 32, "optimizer": "adam"},
    **{"sgd_learning_rate": 0.01, "sgd_one_minus_momentum": 0.1, "sgd_nesterov": True},
    **{"lion_learning_rate": 1e-4, "lion_weight_decay": 0.04},
    **{"lion_one_minus_beta_1": 0.1, "lion_one_minus_beta_2": 0.01},
}
ALL_OF_SGD = {name: value for name, value in USUAL.items() if not name.startswith("lion")} | {"optimizer": "sgd"}
SGD = {"dropout": 0.2, "batch_size": 32, "sgd_learning_rate": 0.01}

built: list[optuna.Trial] = []


def data() -> Dataset:
    return Dataset(X, Y, name="two")


def build(trial: optuna.Trial, rows: Dataset, choices: Any = OPTIMIZERS) -> keras.Model:
    built.append(trial)
    layers = [keras.Input((2,)), keras.layers.Dropout(spaces.dropout(trial)), keras.layers.Dense(2)]
    model = keras.Sequential([*layers, keras.layers.Softmax()])
    model.compile(spaces.optimizer(trial, choices), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def with_sgd_alone(trial: optuna.Trial, rows: Dataset) -> keras.Model:
    return build(trial, rows, [lambda trial: spaces.sgd(trial, one_minus_momentum=0.1, nesterov=True)])


def fit(trial: optuna.Trial) -> dict[str, Any]:
    return {"batch_size": spaces.batch_size(trial)}


def usual(folder: Path, past: list[PastTrial] | None = None, build: Any = build, **given: Any) -> Any:
    """Return what preparing the study finds."""
    built.clear()
    spec = StudySpec(
        name="toy", dataset=data, build=build, fit=fit, monitor="val_loss", direction="minimize", epochs=1, **given
    )
    here, there = Pipe()
    with here, there:
        Prepare(study_source(spec), None, folder, folder / "toy", past or [])(there)
        kind, found = here.recv()
    assert kind == "value", found
    return found.usual


def test_it_is_known_of_all_choices_of_build_and_fit_and_no_more_networks_are_built(tmp_path: Path) -> None:
    assert usual(tmp_path) == USUAL
    n_built = len(built)
    usual(tmp_path, guess=None)
    assert len(built) == n_built


def test_a_study_file_that_wants_no_guess_has_none(tmp_path: Path) -> None:
    assert usual(tmp_path, guess=None) == {}


@pytest.mark.parametrize("given", [{"baseline": SGD}, {"enqueue": [{"dropout": 0.3}, SGD]}, {"guess": SGD}])
def test_what_the_study_file_gives_itself_is_not_tried_twice(tmp_path: Path, given: dict[str, Any]) -> None:
    assert usual(tmp_path, build=with_sgd_alone, **given) == {}


@pytest.mark.parametrize(
    "given",
    [{"baseline": SGD | {"dropout": 0.3}}, {"guess": {"dropout": 0.2}}, {"enqueue": [{"sgd_learning_rate": 0.01}]}],
)
def test_what_differs_from_all_that_the_study_file_gives_is_tried(tmp_path: Path, given: dict[str, Any]) -> None:
    assert usual(tmp_path, build=with_sgd_alone, **given) == SGD


def test_a_baseline_of_another_branch_is_another_configuration(tmp_path: Path) -> None:
    assert usual(tmp_path, baseline=ALL_OF_SGD) == USUAL


def test_a_study_with_trials_is_not_asked_again(tmp_path: Path) -> None:
    past = PastTrial(0, dict(SGD), {}, is_finished=True)
    assert usual(tmp_path, [past], build=with_sgd_alone) == {}
