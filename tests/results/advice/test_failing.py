"""Where trials fail: a part of a range or a choice, and nothing where chance alone decides."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from autotune.results.advice.failing import FailingRegion, failing_region

SPACE: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(0.0, 1.0),
    "optimizer": CategoricalDistribution(["adam", "sgd"]),
}


def trial(params: Mapping[str, Any], *, fails: bool) -> FrozenTrial:
    distributions = {name: SPACE.get(name, FloatDistribution(0.0, 1.0)) for name in params}
    if fails:
        return create_trial(state=TrialState.FAIL, params=dict(params), distributions=distributions)
    return create_trial(value=1.0, params=dict(params), distributions=distributions)


def of_rates(failing: Sequence[int]) -> list[FrozenTrial]:
    """Make up twenty trials with rates from 0 to .95, of which those in `failing` fail."""
    return [trial({"rate": number / 20}, fails=number in failing) for number in range(20)]


@pytest.mark.parametrize(
    ("failing", "where", "n_there"),
    [(range(15, 20), "rate of 0.75 and more", 5), (range(6), "rate of 0.25 and less", 6)],
    ids=["upper part", "lower part"],
)
def test_the_failing_end_of_a_range_is_found(failing: Sequence[int], where: str, n_there: int) -> None:
    assert failing_region(of_rates(failing)) == FailingRegion("rate", where, n_there, n_there)


def test_a_failing_choice_is_found_among_the_trials_that_were_asked_for_it() -> None:
    asked = [trial({"optimizer": ["adam", "sgd"][n % 2], "rate": n / 20}, fails=n % 2 == 1) for n in range(20)]
    others = [trial({"rate": n / 20}, fails=False) for n in range(20)]
    assert failing_region([*asked, *others]) == FailingRegion("optimizer", "optimizer = sgd", 10, 10)


def test_no_region_is_named_where_all_trials_fail_or_none_does() -> None:
    assert failing_region(of_rates(range(20))) is None
    assert failing_region(of_rates(())) is None
    assert failing_region([]) is None


def test_of_searches_in_which_chance_decides_few_have_a_region() -> None:
    def search(seed: int) -> list[FrozenTrial]:
        chance = random.Random(seed)
        names = [f"parameter {number}" for number in range(5)]
        return [trial({name: chance.random() for name in names}, fails=chance.random() < 0.3) for _ in range(15)]

    found = sum(failing_region(search(seed)) is not None for seed in range(40))
    assert found <= 3  # the level is a twentieth; each part tested by itself would find one in most of them
