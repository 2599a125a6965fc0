"""Search spaces as cubes: values stay values, and conditional parameters come with what they hang on."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autotune.search.curves.space import CurveSpace, searched, space_of

KINDS: list[BaseDistribution] = [
    FloatDistribution(-2.0, 3.0),
    FloatDistribution(1e-7, 10.0, log=True),
    FloatDistribution(-10.2, 10.2, step=0.1),
    IntDistribution(3, 10),
    IntDistribution(3, 9, step=2),
    IntDistribution(1, 100, log=True),
    CategoricalDistribution(["adam", "sgd", None]),
]
OPTIMIZER = CategoricalDistribution(["adam", "sgd"])
RATE = FloatDistribution(1e-4, 1.0, log=True)
NESTEROV = CategoricalDistribution([False, True])


def trial(params: dict[str, object], **distributions: BaseDistribution) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(params=params, distributions=distributions, value=0.0)


@pytest.mark.parametrize("distribution", KINDS, ids=str)
def test_values_go_to_the_cube_and_back(distribution: BaseDistribution) -> None:
    space = CurveSpace({"x": distribution}, {})
    values = [space.to_params(np.array([u]))["x"] for u in np.linspace(0.0, 1.0, 23)]
    assert all(distribution._contains(distribution.to_internal_repr(value)) for value in values)
    cube = space.to_cube([{"x": value} for value in values])
    assert np.all((cube >= 0.0) & (cube <= 1.0))
    back = [space.to_params(u)["x"] for u in cube]
    assert [type(value) for value in back] == [type(value) for value in values]
    assert [distribution.to_internal_repr(b) for b in back] == pytest.approx(
        [distribution.to_internal_repr(v) for v in values]
    )


@pytest.mark.parametrize("distribution", KINDS, ids=str)
def test_every_value_of_a_few_has_its_share_of_the_cube(distribution: BaseDistribution) -> None:
    space = CurveSpace({"x": distribution}, {})
    values = [space.to_params(np.array([u]))["x"] for u in np.linspace(0.0, 1.0, 1001)]
    if isinstance(distribution, CategoricalDistribution):
        assert set(values) == set(distribution.choices)
    elif isinstance(distribution, IntDistribution):
        assert {distribution.low, distribution.high} <= set(values)


def test_any_two_choices_are_as_far_apart_as_the_ends_of_a_range() -> None:
    space = CurveSpace({"x": CategoricalDistribution(["a", "b", "c"]), "y": FloatDistribution(0.0, 1.0)}, {})
    columns = space.to_columns(space.to_cube([{"x": "a", "y": 0.0}, {"x": "c", "y": 0.0}, {"x": "a", "y": 1.0}]))
    assert np.linalg.norm(columns[0] - columns[1]) == pytest.approx(1.0)
    assert np.linalg.norm(columns[0] - columns[2]) == pytest.approx(1.0)


def test_a_parameter_whose_range_moves_is_left_out() -> None:
    trials = [
        trial({"x": 0.5, "y": 1.0}, x=FloatDistribution(0, 1), y=FloatDistribution(0, 1)),
        trial({"x": 0.5, "y": 1.0}, x=FloatDistribution(0, 1), y=FloatDistribution(0, 2)),
    ]
    assert list(searched(trials)) == ["x"]


def test_conditional_parameters_come_with_what_they_hang_on_also_two_deep() -> None:
    trials = [
        trial({"optimizer": "adam"}, optimizer=OPTIMIZER),
        trial({"optimizer": "sgd", "nesterov": False}, optimizer=OPTIMIZER, nesterov=NESTEROV),
        trial(
            {"optimizer": "sgd", "nesterov": True, "a_rate": 0.1}, optimizer=OPTIMIZER, nesterov=NESTEROV, a_rate=RATE
        ),
    ]
    space = space_of(trials, searched(trials))
    assert list(space.distributions) == ["a_rate", "nesterov", "optimizer"]
    adam, sgd, nesterov = space.to_values(np.array([[0.5, 0.9, 0.1], [0.5, 0.1, 0.9], [0.5, 0.9, 0.9]]))
    assert np.isnan(adam).tolist() == [True, True, False]
    assert np.isnan(sgd).tolist() == [True, False, False]
    assert np.isnan(nesterov).tolist() == [False, False, False]


def test_what_is_missing_stands_in_the_middle() -> None:
    space = CurveSpace({"x": FloatDistribution(0.0, 1.0), "y": OPTIMIZER}, {})
    missing, *ends = space.to_columns(space.to_cube([{}, {"x": 0.0, "y": "adam"}, {"x": 1.0, "y": "sgd"}]))
    assert missing == pytest.approx(np.mean(ends, axis=0))
