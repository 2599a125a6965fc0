"""The values of a distribution are counted and numbered as Optuna's samplers give them."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BruteForceSampler

from autotune.search.history.domain import index_of, is_same, n_values, value_at

NAN = float("nan")

DISCRETE: list[tuple[BaseDistribution, list[Any]]] = [
    (CategoricalDistribution(["adam", None, 3, 2.5, True, NAN]), ["adam", None, 3, 2.5, True, NAN]),
    (CategoricalDistribution(["only"]), ["only"]),
    (IntDistribution(1, 4), [1, 2, 3, 4]),
    (IntDistribution(16, 64, step=16), [16, 32, 48, 64]),
    (IntDistribution(1, 5, log=True), [1, 2, 3, 4, 5]),
    (IntDistribution(7, 7), [7]),
    (FloatDistribution(0.1, 0.5, step=0.1), [0.1, 0.2, 0.3, 0.4, 0.5]),
    (FloatDistribution(-1, 1, step=1), [-1.0, 0.0, 1.0]),
    (FloatDistribution(0.3, 0.3), [0.3]),
    (FloatDistribution(1e-3, 1e-3, log=True), [1e-3]),
]


@pytest.mark.parametrize(("distribution", "values"), DISCRETE, ids=repr)
def test_values_are_counted_and_numbered_in_order(distribution: BaseDistribution, values: list[Any]) -> None:
    assert n_values(distribution) == len(values)
    assert [index_of(distribution, value) for value in values] == list(range(len(values)))
    for number, value in enumerate(values):
        assert is_same(distribution, value_at(distribution, number), value)
        assert sum(is_same(distribution, value, other) for other in values) == 1


@pytest.mark.parametrize("distribution", [FloatDistribution(0, 1), FloatDistribution(1e-5, 1, log=True)], ids=repr)
def test_a_continuous_distribution_has_endlessly_many_values(distribution: BaseDistribution) -> None:
    assert n_values(distribution) is None
    assert index_of(distribution, 0.5) is None
    assert is_same(distribution, 0.5, 0.5)
    assert not is_same(distribution, 0.5, 0.5000001)


def test_a_rounding_error_does_not_make_another_value() -> None:
    assert index_of(FloatDistribution(0.1, 0.9, step=0.1), 0.1 + 2 * 0.1) == 2
    assert is_same(FloatDistribution(0.1, 0.9, step=0.1), 0.30000000000000004, 0.3)
    assert not is_same(FloatDistribution(0, 1), 0.30000000000000004, 0.3)


@pytest.mark.parametrize(
    ("distribution", "value"),
    [
        (IntDistribution(1, 4), 5),
        (IntDistribution(16, 64, step=16), 20),
        (FloatDistribution(0, 1, step=0.25), 0.3),
        (FloatDistribution(0, 1, step=0.25), float("inf")),
        (FloatDistribution(0.3, 0.3), 0.4),
        (CategoricalDistribution(["a"]), "b"),
        (IntDistribution(1, 4), None),
    ],
    ids=repr,
)
def test_a_value_from_elsewhere_has_no_number(distribution: BaseDistribution, value: Any) -> None:
    assert index_of(distribution, value) is None


@pytest.mark.parametrize("step", [0.1, 0.3, 0.05])
def test_every_value_of_optunas_samplers_has_a_number(step: float) -> None:
    distribution = FloatDistribution(0.1, 1.0 if step != 0.05 else 0.85, step=step)
    for sampler in (BruteForceSampler(seed=0), optuna.samplers.RandomSampler(seed=0)):
        study = optuna.create_study(sampler=sampler)
        study.optimize(lambda trial: trial.suggest_float("x", 0.1, distribution.high, step=step), n_trials=40)
        for trial in study.trials:
            number = index_of(distribution, trial.params["x"])
            assert number is not None
            assert value_at(distribution, number) == pytest.approx(trial.params["x"])
