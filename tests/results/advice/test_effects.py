"""Pairs of hyperparameters that depend on each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest

from autotune.results.advice.effects import Interaction, strongest_interaction
from autotune.results.summary.ranking import finished_in_order


def strongest(objective: Callable[[optuna.Trial], float], n_trials: int = 120) -> Interaction | None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=n_trials)
    trials = finished_in_order(study)
    return strongest_interaction(trials, sorted(trials[0].params))


def test_a_pair_that_depends_on_each_other_is_found() -> None:
    def objective(trial: optuna.Trial) -> float:
        a, b = trial.suggest_float("a", 0, 1), trial.suggest_float("b", 0, 1)
        kind = trial.suggest_categorical("kind", ["x", "y"])
        return abs(a - b) + 0.1 * (kind == "x")

    found = strongest(objective)
    assert found is not None
    assert (found.first, found.second) == ("a", "b")
    assert found.p_value < 0.001


@pytest.mark.parametrize("n_trials", [10, 120])
def test_effects_that_add_up_are_none(n_trials: int) -> None:
    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_float("a", 0, 1) + trial.suggest_float("b", 0, 1) + trial.suggest_float("c", 0, 1)

    assert strongest(objective, n_trials) is None


def test_a_choice_that_has_no_hash_may_be_one_of_the_pair() -> None:
    def objective(trial: optuna.Trial) -> float:
        sizes: list[Any] = [[2, 2], [4, 4]]
        size, x = trial.suggest_categorical("size", sizes), trial.suggest_float("x", 0, 1)
        return x if size == sizes[0] else 1 - x

    found = strongest(objective)
    assert found is not None
    assert (found.first, found.second) == ("size", "x")
