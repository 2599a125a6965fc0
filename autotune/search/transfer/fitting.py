"""Configurations as another search space can have them: by name, with the nearest values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autotune.search.history import n_values, value_at


def fitted(params: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Return the parameters that a search space has too, each with the nearest value that the space can suggest.

    A number is moved into the range and to the next step; among choices that are numbers the nearest is taken, by their
    ratio if all are positive. Any other choice must be among the choices. A value that is not fitted is left out.

    Args:
        params: The values, by name.
        space: The distributions, by name.
    """
    found = {}
    for name, value in params.items():
        if name in space and (nearest := _nearest(space[name], value)) is not None:
            found[name] = space[name].to_external_repr(nearest)
    return found


def _nearest(distribution: BaseDistribution, value: Any) -> float | None:
    """Return the nearest value in Optuna's internal form; None if there is none."""
    if isinstance(distribution, CategoricalDistribution):
        return _nearest_choice(distribution, value)
    if not _is_number(value) or not isinstance(distribution, (FloatDistribution, IntDistribution)):
        return None
    inside = min(max(value, distribution.low), distribution.high)
    n = n_values(distribution)
    if n is None:
        return float(inside)
    step = distribution.step or 1
    return float(value_at(distribution, min(round((inside - distribution.low) / step), n - 1)))


def _nearest_choice(distribution: CategoricalDistribution, value: Any) -> float | None:
    try:
        return float(distribution.to_internal_repr(value))
    except ValueError:  # it is none of the choices
        pass
    numbers: dict[int, Any] = {index: one for index, one in enumerate(distribution.choices) if _is_number(one)}
    if not numbers or not _is_number(value):
        return None
    by_ratio = value > 0 and all(one > 0 for one in numbers.values())
    return float(min(numbers, key=lambda index: _distance(numbers[index], value, by_ratio)))


def _distance(one: float, other: float, by_ratio: bool) -> float:
    return abs(math.log(one / other)) if by_ratio else abs(one - other)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
