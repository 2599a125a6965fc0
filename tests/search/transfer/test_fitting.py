"""Configurations in another search space."""

from __future__ import annotations

import math
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autotune.search.transfer import fitted


@pytest.mark.parametrize(
    ("distribution", "value", "expected"),
    [
        (FloatDistribution(0.0, 1.0), 0.25, 0.25),
        (FloatDistribution(0.0, 1.0), 7.0, 1.0),
        (FloatDistribution(1e-4, 1e-2, log=True), 1e-6, 1e-4),
        (FloatDistribution(0.0, 1.0, step=0.25), 0.4, 0.5),
        (FloatDistribution(0.0, 1.0), 1, 1.0),  # an integer in the earlier study
        (FloatDistribution(0.5, 0.5), 0.1, 0.5),
        (IntDistribution(1, 3), 9, 3),
        (IntDistribution(1, 9, step=4), 6, 5),
        (IntDistribution(1, 1024, log=True), 48.4, 48),
        (CategoricalDistribution(["adam", "sgd"]), "sgd", "sgd"),
        (CategoricalDistribution([None, "same"]), None, None),
        (CategoricalDistribution([[32, 64], [64]]), [64], [64]),
        (CategoricalDistribution([32, 64, 128]), 100, 128),
        (CategoricalDistribution([1e-4, 1e-3, 1e-2]), 5e-3, 1e-2),  # by its ratio
        (CategoricalDistribution([-1, 0, 4]), 1, 0),
    ],
)
def test_a_value_becomes_the_nearest_that_the_space_has(
    distribution: BaseDistribution, value: Any, expected: Any
) -> None:
    found = fitted({"x": value}, {"x": distribution})
    assert found == {"x": expected}
    assert type(found["x"]) is type(expected)


@pytest.mark.parametrize(
    ("distribution", "value"),
    [
        (FloatDistribution(0.0, 1.0), "0.5"),
        (FloatDistribution(0.0, 1.0), True),
        (FloatDistribution(0.0, 1.0), math.nan),
        (IntDistribution(0, 9), math.inf),
        (IntDistribution(0, 9), None),
        (CategoricalDistribution(["adam", "sgd"]), "rmsprop"),
        (CategoricalDistribution(["adam", "sgd"]), 3),
        (CategoricalDistribution([False, True]), 3),
    ],
)
def test_a_value_that_is_none_of_the_space_is_left_out(distribution: BaseDistribution, value: Any) -> None:
    assert fitted({"x": value, "y": 1}, {"x": distribution}) == {}
