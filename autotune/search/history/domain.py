"""The values of a distribution: their number, and the index of each."""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

_TOLERANCE = 1e-8  # in steps, like Optuna's: its samplers return 0.30000000000000004 or 0.3 for the same value


def n_values(distribution: BaseDistribution) -> int | None:
    """Return the number of values; None if it is infinite."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return (distribution.high - distribution.low) // distribution.step + 1
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        return round((distribution.high - distribution.low) / distribution.step) + 1
    return 1 if distribution.single() else None


def index_of(distribution: BaseDistribution, value: Any) -> int | None:
    """Return the index of a value, in [0, `n_values`); None if it is not one of the values or they are infinite.

    Two choices that are equal in Python (True, 1 and 1.0) are one value to Optuna, and have the index of the first.
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
        return None  # a value that a user gave by hand, outside the range
    steps = (internal - distribution.low) / (distribution.step or 1.0)
    return round(steps) if abs(steps - round(steps)) < _TOLERANCE else None


def value_at(distribution: BaseDistribution, index: int) -> Any:
    """Return the value at an index in [0, `n_values`), with the type that Optuna's samplers return."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[index]
    if isinstance(distribution, IntDistribution):
        return distribution.low + index * distribution.step
    if isinstance(distribution, FloatDistribution):
        return min(distribution.low + index * (distribution.step or 0.0), distribution.high)
    raise TypeError(f"{distribution!r} has no numbered values")


def is_same(distribution: BaseDistribution, one: Any, other: Any) -> bool:
    """Tell whether two values are the same for Optuna: NaN equals NaN, and rounding errors of steps do not count.

    This is called for thousands of trials at a time, so it tries the fast `==` first.
    """
    if one == other:
        return True
    if isinstance(distribution, FloatDistribution):
        number = index_of(distribution, one)
        return number is not None and number == index_of(distribution, other)
    return bool(one != one and other != other)
