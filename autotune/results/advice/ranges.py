"""Positions of values in the range of a hyperparameter, and wider or narrower ranges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Numeric = FloatDistribution | IntDistribution


def is_ordered(distribution: BaseDistribution) -> bool:
    """Tell whether the values have an order: ranges have, and choices among at least three different numbers."""
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        numbers = [c for c in choices if isinstance(c, (int, float)) and not isinstance(c, bool)]
        return len(numbers) == len(choices) >= 3
    return isinstance(distribution, (FloatDistribution, IntDistribution)) and not distribution.single()


def position(distribution: BaseDistribution, value: Any) -> float:
    """Return the position of a value, from 0 at the lower to 1 at the upper edge, on the scale of the range."""
    if isinstance(distribution, CategoricalDistribution):
        ordered = sorted(distribution.choices)  # type: ignore[type-var]  # reason: `is_ordered` has seen numbers
        return ordered.index(value) / (len(ordered) - 1)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    scale = math.log if distribution.log else float
    low, high = scale(distribution.low), scale(distribution.high)
    return (scale(value) - low) / (high - low)


def at(distribution: Numeric, where: float) -> float:
    """Return the value at a position, which may be outside the range: below 0 or above 1."""
    if distribution.log:
        low, high = math.log(distribution.low), math.log(distribution.high)
        return math.exp(low + where * (high - low))
    return distribution.low + where * (distribution.high - distribution.low)


def widened(distribution: BaseDistribution, upwards: bool, part: float) -> BaseDistribution:
    """Return the range with one edge moved outwards by a part of its width, on its own scale, to a round number."""
    if isinstance(distribution, CategoricalDistribution):
        choices: list[Any] = list(distribution.choices)
        added = [_next_choice(choices, upwards)]
        return CategoricalDistribution(
            [*choices, *added] if upwards == (choices[0] < choices[-1]) else [*added, *choices]
        )
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    if upwards:
        return between(distribution, distribution.low, at(distribution, 1 + part))
    return between(distribution, at(distribution, -part), distribution.high)


def between(distribution: Numeric, low: float, high: float) -> Numeric:
    """Return a distribution of the same kind from `low` to `high`, new edges rounded to two digits."""
    if isinstance(distribution, IntDistribution):
        lowest, highest = math.floor(low + 1e-9), math.ceil(high - 1e-9)
        if distribution.log:
            lowest = max(1, lowest)
        steps = math.ceil((highest - lowest) / distribution.step)
        return IntDistribution(lowest, lowest + steps * distribution.step, log=distribution.log, step=distribution.step)
    return FloatDistribution(
        low if low == distribution.low else _round(low),
        high if high == distribution.high else _round(high),
        log=distribution.log,
        step=distribution.step,
    )


def short(value: Any) -> str:
    """Return a hyperparameter's value in few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _round(value: float) -> float:
    return float(f"{value:.2g}")


def _next_choice(choices: Sequence[Any], upwards: bool) -> float:
    """Return the number after the last choice: by the same factor if all are positive, else by the same step."""
    ordered = sorted(choices, reverse=not upwards)
    last, before = ordered[-1], ordered[-2]
    number = last * last / before if min(choices) > 0 else 2 * last - before
    return max(1, round(number)) if all(isinstance(choice, int) for choice in choices) else _round(number)
