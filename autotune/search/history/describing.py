"""Descriptions of search spaces, and of the differences between two."""

from __future__ import annotations

from collections.abc import Mapping

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


def differences(before: Mapping[str, BaseDistribution], now: Mapping[str, BaseDistribution]) -> list[str]:
    """Describe the differences between two search spaces.

    Returns:
        One line for each parameter that is new, missing or different; an empty list if the spaces are the same.
    """
    lines = []
    for name in sorted(before.keys() | now.keys()):
        if name not in now:
            lines.append(f"{name}: was {describe(before[name])}, is no longer there")
        elif name not in before:
            lines.append(f"{name}: is new, {describe(now[name])}")
        elif before[name] != now[name]:
            lines.append(f"{name}: was {describe(before[name])}, is now {describe(now[name])}")
    return lines


def describe(distribution: BaseDistribution) -> str:
    """Describe a distribution, e.g. "a float from 1e-05 to 0.01 (log)"."""
    if isinstance(distribution, CategoricalDistribution):
        return f"one of {', '.join(map(repr, distribution.choices))}"
    if isinstance(distribution, FloatDistribution):
        return f"a float from {_short(distribution.low)} to {_short(distribution.high)}{_marks(distribution)}"
    if isinstance(distribution, IntDistribution):
        return f"an integer from {distribution.low} to {distribution.high}{_marks(distribution)}"
    return repr(distribution)


def _short(number: float) -> str:
    return f"{number:g}" if float(f"{number:g}") == number else repr(number)


def _marks(distribution: FloatDistribution | IntDistribution) -> str:
    usual_step = None if isinstance(distribution, FloatDistribution) else 1
    marks = ["log"] if distribution.log else []
    marks += [f"step {distribution.step}"] if distribution.step != usual_step else []
    return f" ({', '.join(marks)})" if marks else ""
