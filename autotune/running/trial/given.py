"""The configurations that a study file gives itself: its baseline, and the trials to begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import create_trial

from autotune.errors import SearchSpaceError
from autotune.running.trial.plain_values import NotPlainError, plain, plain_name
from autotune.search.history import describe

BASELINE = "baseline"
Configurations = Mapping[str, Mapping[str, Any]]
"""From what the study file calls a configuration, "baseline" or "enqueue[0]", to its values."""


def plain_configuration(label: str, params: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a configuration as storages keep it: NumPy's numbers as Python's, tuples as lists.

    Raises:
        SearchSpaceError: If a value cannot be kept, or a name is none.
    """
    kept = {}
    for name, value in params.items():
        try:
            kept[plain_name(name, f"a hyperparameter of {label}")] = plain(value)
        except NotPlainError as error:
            raise SearchSpaceError(
                f"{label} gives {name!r} what no search space has: {error}.",
                "A hyperparameter is a number, or a choice: None, a bool, a string, or a list, tuple or dict of these.",
                "Give the value that `trial` would suggest.",
            ) from error
    return kept


def configurations(baseline: Mapping[str, Any] | None, enqueue: Sequence[Mapping[str, Any]]) -> Configurations:
    """Return all that a study file gives, by its names there, as storages keep it."""
    given = {BASELINE: baseline} if baseline is not None else {}
    given |= {f"enqueue[{number}]": params for number, params in enumerate(enqueue)}
    return {label: plain_configuration(label, params) for label, params in given.items()}


def outside(params: Mapping[str, Any], asked: Mapping[str, BaseDistribution]) -> list[str]:
    """Say which values lie outside of what is asked for, a line each."""
    return [
        f"{name}={params[name]!r} is not {describe(distribution)}"
        for name, distribution in asked.items()
        if name in params and not contains(distribution, params[name])
    ]


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Tell whether a distribution may suggest a value."""
    if isinstance(value, str) and not isinstance(distribution, CategoricalDistribution):
        return False  # Optuna takes "0.5" for a number
    try:
        create_trial(value=0.0, params={"": value}, distributions={"": distribution})  # looks
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def may_contain(distribution: BaseDistribution, value: Any) -> bool:
    """Tell whether a distribution of this kind may suggest a value in some trial: ranges may differ, choices not."""
    if isinstance(distribution, CategoricalDistribution):
        return contains(distribution, value)
    is_number = isinstance(value, (int, float))
    return is_number and (not isinstance(distribution, IntDistribution) or float(value).is_integer())


def refusal(problems: Sequence[str], expected: str) -> SearchSpaceError:
    """Return the error that says what does not fit."""
    return SearchSpaceError(
        "what the study file gives is no configuration of the study:\n  " + "\n  ".join(problems),
        expected,
        "Correct it in the study file, or leave it out.",
    )
