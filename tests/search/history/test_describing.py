"""Two search spaces are compared parameter by parameter, in words a person can act on."""

from __future__ import annotations

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autotune.search.history import differences
from autotune.search.history.describing import describe

RATE = FloatDistribution(1e-5, 1e-2, log=True)
UNITS = IntDistribution(16, 128)
OPTIMIZER = CategoricalDistribution(["adam", "sgd"])
SPACE: dict[str, BaseDistribution] = {"rate": RATE, "units": UNITS, "optimizer": OPTIMIZER}


@pytest.mark.parametrize(
    ("distribution", "words"),
    [
        (RATE, "a float from 1e-05 to 0.01 (log)"),
        (FloatDistribution(0, 1), "a float from 0 to 1"),
        (FloatDistribution(0, 1, step=0.25), "a float from 0 to 1 (step 0.25)"),
        (UNITS, "an integer from 16 to 128"),
        (IntDistribution(16, 128, step=16), "an integer from 16 to 128 (step 16)"),
        (IntDistribution(1, 1024, log=True), "an integer from 1 to 1024 (log)"),
        (OPTIMIZER, "one of 'adam', 'sgd'"),
        (CategoricalDistribution([None, True, 2]), "one of None, True, 2"),
    ],
)
def test_a_distribution_is_said_in_words(distribution: BaseDistribution, words: str) -> None:
    assert describe(distribution) == words


def test_equal_spaces_have_no_differences() -> None:
    same = {
        "optimizer": CategoricalDistribution(["adam", "sgd"]),
        "units": IntDistribution(16, 128),
        "rate": FloatDistribution(1e-5, 1e-2, log=True),
    }
    assert differences(SPACE, same) == []


def test_a_new_parameter_is_named_with_its_range() -> None:
    assert differences({"rate": RATE}, {"rate": RATE, "units": UNITS}) == ["units: is new, an integer from 16 to 128"]


def test_a_parameter_that_is_gone_is_named_with_what_it_was() -> None:
    assert differences(SPACE, {"rate": RATE, "units": UNITS}) == [
        "optimizer: was one of 'adam', 'sgd', is no longer there"
    ]


def test_changed_parameters_are_listed_by_name_with_before_and_now() -> None:
    now = {**SPACE, "units": IntDistribution(16, 256), "optimizer": CategoricalDistribution(["adam", "sgd", "lion"])}
    assert differences(SPACE, now) == [
        "optimizer: was one of 'adam', 'sgd', is now one of 'adam', 'sgd', 'lion'",
        "units: was an integer from 16 to 128, is now an integer from 16 to 256",
    ]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (FloatDistribution(1e-5, 1e-2, log=True), FloatDistribution(1e-5, 1e-2)),
        (FloatDistribution(0, 1), FloatDistribution(0, 1, step=0.5)),
        (FloatDistribution(0, 1), FloatDistribution(0, 1.0000001)),
        (FloatDistribution(1, 3), IntDistribution(1, 3)),
        (IntDistribution(1, 9), IntDistribution(1, 9, step=2)),
        (CategoricalDistribution(["a", "b"]), CategoricalDistribution(["b", "a"])),
        (CategoricalDistribution([1, 2]), CategoricalDistribution(["1", "2"])),
    ],
    ids=["log", "step", "seventh digit", "kind", "integer step", "order", "type of choices"],
)
def test_a_small_change_shows_in_the_words(before: BaseDistribution, now: BaseDistribution) -> None:
    (line,) = differences({"p": before}, {"p": now})
    assert line == f"p: was {describe(before)}, is now {describe(now)}"
    assert describe(before) != describe(now)
