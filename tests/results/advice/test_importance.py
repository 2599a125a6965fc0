"""Which hyperparameters matter: planted ones are found, and the others are not made up."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.results.advice.importance import FEWEST, importances
from autotune.search.samplers import tpe

RELEVANT = {"learning_rate", "x0"}


def objective(seed: int) -> Callable[[optuna.Trial], float]:
    """Two of eight hyperparameters matter."""
    noise = np.random.default_rng(seed)

    def value(trial: optuna.Trial) -> float:
        x = [trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(6)]
        rate = trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
        trial.suggest_categorical("optimizer", ["adam", "sgd", "lion"])
        return 0.5 * (math.log10(rate) + 3) ** 2 + 4 * (x[0] - 0.3) ** 2 + 0.1 * float(noise.standard_normal())

    return value


def searched(sampler: optuna.samplers.BaseSampler, seed: int, n_trials: int) -> optuna.Study:
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective(seed), n_trials=n_trials)
    return study


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_of_eight_are_found_and_the_intervals_of_the_others_reach_zero(seed: int) -> None:
    study = searched(optuna.samplers.RandomSampler(seed=seed), seed, 120)
    found = importances(study)
    assert {one.name for one in found[:2]} == RELEVANT
    assert {one.name for one in found if one.is_certain} == RELEVANT
    assert sum(one.share for one in found) == pytest.approx(1.0)


def test_a_sampler_that_learns_makes_nothing_else_look_important() -> None:
    """Under TPE everything drifts while values get better; at most one of 24 may be taken for what it is not."""
    wrong, right = [], 0
    for seed in range(4):
        found = importances(searched(tpe(seed), seed, 100))
        wrong += [one.name for one in found if one.is_certain and one.name not in RELEVANT]
        right += sum(one.is_certain for one in found if one.name in RELEVANT)
    assert len(wrong) <= 1
    assert right >= 3


def test_the_same_study_has_the_same_importances() -> None:
    study = searched(optuna.samplers.RandomSampler(seed=0), 0, 40)
    assert importances(study, resamples=10) == importances(study, resamples=10)


def test_a_pruned_trial_counts_as_a_bad_one() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    def value(trial: optuna.Trial) -> float:
        x, _ = trial.suggest_float("x", 0, 1), trial.suggest_float("dead", 0, 1)
        trial.report(0.0, 1)
        if x > 0.4:
            raise optuna.TrialPruned
        return 1.0

    study.optimize(value, n_trials=60)
    found = importances(study)
    assert found[0].name == "x"
    assert found[0].is_certain
    assert not found[1].is_certain


def test_a_branch_that_is_never_taken_and_values_that_never_vary_are_left_out() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    def value(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        trial.suggest_categorical("constant", ["a"])
        if x > 0.97:
            return x + trial.suggest_float("rare", 0, 1)
        return x

    study.optimize(value, n_trials=FEWEST + 10)
    assert importances(study, resamples=20)[0].name == "x"
    assert "constant" not in {one.name for one in importances(study, resamples=2)}


def test_a_few_trials_or_only_failed_ones_say_nothing() -> None:
    study = searched(optuna.samplers.RandomSampler(seed=0), 0, FEWEST - 1)
    assert importances(study) == []
    failed = optuna.create_study()
    failed.optimize(lambda trial: trial.suggest_float("x", 0, 1) * math.nan, n_trials=30)
    assert importances(failed) == []


def test_choices_that_have_no_hash_are_weighed_like_words() -> None:
    def study(choices: list[Any]) -> optuna.Study:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        study.optimize(
            lambda t: choices.index(t.suggest_categorical("size", choices)) + t.suggest_float("x", 0, 0.1), n_trials=40
        )
        return study

    of_lists, of_words = (
        [*importances(study(choices), 10)] for choices in ([[2, 2], [4, 4], {"a": 1}], ["a", "b", "c"])
    )
    assert of_lists == of_words
    assert of_lists[0].name == "size"
