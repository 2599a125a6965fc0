"""The configurations that a study file gives: its baseline, guesses, and first trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import create_trial

from autotune.errors import SearchSpaceError
from autotune.running.trial.plain_values import NotPlainError, plain, plain_name
from autotune.search.history import describe

BASELINE = "baseline"
EXPECTED_OF_GIVEN = (
    "`baseline` gives a value to each hyperparameter that `build` and `fit` ask for with those values, and no\n"
    "others; the dicts in `enqueue` and `guess` to some of them."
)
Configurations = Mapping[str, Mapping[str, Any]]
"""From the label of a configuration, "baseline" or e.g. "enqueue[0]" or "guess[0]", to its parameters."""


def plain_configuration(label: str, params: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a configuration in plain values, as storages keep it: numbers of Python, and lists in place of tuples.

    Raises:
        SearchSpaceError: If a value cannot be stored or a name is invalid.
    """
    kept = {}
    for name, value in params.items():
        try:
            kept[plain_name(name, f"a hyperparameter of {label}")] = plain(value)
        except NotPlainError as error:
            raise SearchSpaceError(
                f"{label} gives {name!r} a value that no search space can have: {error}.",
                "A hyperparameter is a number, or a choice: None, a bool, a string, or a list, tuple or dict of these.",
                "Give the value that `trial` would suggest.",
            ) from error
    return kept


def configurations(
    baseline: Mapping[str, Any] | None,
    enqueue: Sequence[Mapping[str, Any]],
    guess: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (),
) -> Configurations:
    """Return all configurations of a study file in plain values, by their labels."""
    guesses = [guess] if isinstance(guess, Mapping) else guess
    given = {BASELINE: baseline} if baseline is not None else {}
    given |= {f"enqueue[{number}]": params for number, params in enumerate(enqueue)}
    given |= {f"guess[{number}]": params for number, params in enumerate(guesses)}
    return {label: plain_configuration(label, params) for label, params in given.items()}


def outside(params: Mapping[str, Any], asked: Mapping[str, BaseDistribution]) -> list[str]:
    """Return the values that are outside of their distributions, one line each."""
    return [
        f"{name}={params[name]!r} is not {describe(distribution)}"
        for name, distribution in asked.items()
        if name in params and not contains(distribution, params[name])
    ]


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Tell whether a distribution may suggest a value."""
    if isinstance(value, str) and not isinstance(distribution, CategoricalDistribution):
        return False  # Optuna would accept "0.5" as a number
    try:
        create_trial(value=0.0, params={"": value}, distributions={"": distribution})  # it checks the value
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def may_contain(distribution: BaseDistribution, value: Any) -> bool:
    """Tell whether a distribution may suggest a value in some trial, where its range may differ but not its choices."""
    if isinstance(distribution, CategoricalDistribution):
        return contains(distribution, value)
    is_number = isinstance(value, (int, float))
    return is_number and (not isinstance(distribution, IntDistribution) or float(value).is_integer())


def refusal(problems: Sequence[str], expected: str) -> SearchSpaceError:
    """Return the error for configurations with these problems."""
    return SearchSpaceError(
        "a configuration in the study file does not match the search space:\n  " + "\n  ".join(problems),
        expected,
        "Correct it in the study file, or remove it.",
    )
