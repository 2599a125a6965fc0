"""What the parent comes to know of a study."""

from __future__ import annotations

from multiprocessing import Pipe
from typing import Any

import optuna
import pytest

from autotune import CurvePruner, CurveSampler, StudySpec
from autotune.running.study.source import study_source
from autotune.running.trial.declaration import Declaration, Declare
from autotune.study import EpochPolicy


def declared(**study: Any) -> Declaration:
    here, there = Pipe()
    with here, there:
        Declare(study_source(StudySpec(name="toy", direction="maximize", **study)))(there)
        kind, value = here.recv()
    assert kind == "value"
    assert isinstance(value, Declaration)
    return value


NETWORK: dict[str, Any] = {"dataset": "digits", "build": lambda trial, data: None, "monitor": "val_accuracy"}


@pytest.mark.parametrize("epoch_policy", ["best", "last"])
def test_the_model_of_curves_counts_the_epoch_that_the_study_counts(epoch_policy: EpochPolicy) -> None:
    curves = {"sampler": lambda seed: CurveSampler(9, seed), "pruner": CurvePruner(9)}
    found = declared(**NETWORK, **curves, epoch_policy=epoch_policy)
    assert isinstance(found.pruner, CurvePruner)
    assert found.pruner.training.epoch_policy == epoch_policy
    assert found.sampler is not None
    assert vars(found.sampler(3)) == vars(CurveSampler(9, 3, epoch_policy=epoch_policy))


def test_whoever_says_which_epoch_counts_is_believed() -> None:
    found = declared(**NETWORK, pruner=CurvePruner(9, epoch_policy="last"))
    assert isinstance(found.pruner, CurvePruner)
    assert found.pruner.training.epoch_policy == "last"


def test_the_reports_of_an_objective_are_its_own_affair() -> None:
    found = declared(objective=lambda trial: trial.suggest_float("x", 0.0, 1.0), pruner=CurvePruner(9))
    assert isinstance(found.pruner, CurvePruner)
    assert found.pruner.training.epoch_policy is None


def test_any_other_sampler_and_pruner_are_as_declared() -> None:
    found = declared(**NETWORK, sampler=optuna.samplers.RandomSampler, pruner=optuna.pruners.HyperbandPruner())
    assert isinstance(found.pruner, optuna.pruners.HyperbandPruner)
    assert found.sampler is not None
    assert isinstance(found.sampler(1), optuna.samplers.RandomSampler)
