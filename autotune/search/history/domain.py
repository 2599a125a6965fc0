"""The values of a distribution, counted and numbered."""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

_TOLERANCE = 1e-8  # in steps; as Optuna's own, whose samplers say 0.30000000000000004 or 0.3 for the same value


def n_values(distribution: BaseDistribution) -> int | None:
    """Return how many values there are; None for endlessly many."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return (distribution.high - distribution.low) // distribution.step + 1
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        return round((distribution.high - distribution.low) / distribution.step) + 1
    return 1 if distribution.single() else None


def index_of(distribution: BaseDistribution, value: Any) -> int | None:
    """Return the number of a value, in [0, `n_values`); None if it is not one of the values or they are endless.

    Two choices that are equal in Python (True, 1 and 1.0) are one value to Optuna, and have the number of the first.
    """
    try:
        internal = distribution.to_internal_repr(value)
    except ValueError:
        return None
    if isinstance(distribution, CategoricalDistribution):
        return int(internal)
    if not isinstance(distribution, (FloatDistribution, IntDistribution)) or n_values(distribution) is None:
        return None
    if not distribution.low <= internal <= distribution.high:
        return None  # of a trial whose parameters were given by hand
    steps = (internal - distribution.low) / (distribution.step or 1.0)
    return round(steps) if abs(steps - round(steps)) < _TOLERANCE else None


def value_at(distribution: BaseDistribution, index: int) -> Any:
    """Return the value of a number in [0, `n_values`), as Optuna's samplers would."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[index]
    if isinstance(distribution, IntDistribution):
        return distribution.low + index * distribution.step
    if isinstance(distribution, FloatDistribution):
        return min(distribution.low + index * (distribution.step or 0.0), distribution.high)
    raise TypeError(f"{distribution!r} has no numbered values")


def is_same(distribution: BaseDistribution, one: Any, other: Any) -> bool:
    """Say whether two values of a distribution are one to Optuna: NaN is NaN, and steps have no rounding errors.

    It is asked of thousands of trials at a time, and therefore does without `to_internal_repr` where `==` will do.
    """
    if one == other:
        return True
    if isinstance(distribution, FloatDistribution):
        number = index_of(distribution, one)
        return number is not None and number == index_of(distribution, other)
    return bool(one != one and other != other)
