"""Suggestions that lean towards a guess."""

from __future__ import annotations

import statistics

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autotune.search.history import GUESS
from autotune.search.samplers import SeededSampler, tpe
from autotune.search.transfer import Leaning, guess_of

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(1e-4, 1.0, log=True),
    "n": IntDistribution(1, 64),
    "kind": CategoricalDistribution(["a", "b", "c"]),
}
GUESS_OF_AUTHOR = {"x": 1e-2, "kind": "b"}


def drawn(first: int, last: int, seeds: int = 100) -> list[dict[str, object]]:
    leanings = [Leaning([GUESS_OF_AUTHOR], seed) for seed in range(seeds)]
    return [values for one in leanings for number in range(first, last) if (values := one.drawn(number, SPACE))]


def test_half_of_the_first_suggestions_are_near_it_and_fewer_and_fewer_later() -> None:
    early, later, last = (len(drawn(first, first + 5)) / 500 for first in (0, 10, 40))
    assert 0.35 < early < 0.55
    assert 0.15 < later < 0.3
    assert last < 0.06


def test_they_are_drawn_around_it_within_the_ranges_and_what_it_does_not_say_is_left() -> None:
    values = drawn(0, 5)
    assert all(one.keys() == {"x", "kind"} for one in values)
    assert 0.6 < statistics.fmean(one["kind"] == "b" for one in values) < 0.95
    rates = [float(str(one["x"])) for one in values]
    assert all(1e-4 <= rate <= 1.0 for rate in rates)
    assert len(set(rates)) == len(rates)
    assert 3e-3 < statistics.median(rates) < 3e-2


def test_a_guess_at_the_end_of_a_range_is_no_trap() -> None:
    values = [Leaning([{"x": 1.0}], seed).drawn(0, SPACE) for seed in range(200)]
    rates = [one["x"] for one in values if one]
    assert statistics.fmean(rate == 1.0 for rate in rates) < 0.05


def test_without_a_guess_nothing_is_drawn() -> None:
    assert Leaning([], 0).drawn(0, SPACE) == {}
    assert Leaning([{"other": 1}], 0).drawn(0, SPACE) == {}


def test_the_trial_that_tries_it_has_its_values_and_another_process_suggests_the_same() -> None:
    tables = []
    for _ in range(2):
        study = optuna.create_study(sampler=SeededSampler(tpe, 0, [GUESS_OF_AUTHOR]))
        study.enqueue_trial({}, user_attrs={GUESS: GUESS_OF_AUTHOR})
        for number in range(12):
            trial = study.ask(SPACE)
            study.tell(trial, float(number))
            study.sampler = SeededSampler(tpe, 0, [GUESS_OF_AUTHOR])
        tables.append([trial.params for trial in study.trials])
    assert tables[0] == tables[1]
    assert {name: tables[0][0][name] for name in GUESS_OF_AUTHOR} == GUESS_OF_AUTHOR


def test_a_sampler_leans_towards_it_in_parameters_that_it_models_and_in_others() -> None:
    near = 0
    for seed in range(8):
        study = optuna.create_study(sampler=SeededSampler(tpe, seed, [GUESS_OF_AUTHOR]))
        for number in range(16):
            trial = study.ask()
            assert trial.suggest_float("x", 1e-4, 1.0, log=True) <= 1.0
            trial.suggest_categorical("kind", ["a", "b", "c"])
            study.tell(trial, float(number))
            drawn_here = Leaning([GUESS_OF_AUTHOR], seed).drawn(number, {"x": SPACE["x"], "kind": SPACE["kind"]})
            assert trial.params == drawn_here or not drawn_here
            near += bool(drawn_here)
    assert near > 20


@pytest.mark.parametrize("noted", ["a", [1], 3, None])
def test_what_no_version_of_ours_wrote_is_no_guess(noted: object) -> None:
    assert guess_of(optuna.trial.create_trial(value=0.0, user_attrs={GUESS: noted})) is None
