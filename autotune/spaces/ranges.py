"""The declaration of one hyperparameter: a range to search, or a fixed value.

Each has a usual value: what people take who do not search. Before its first trial a study asks once what is usual, with
a trial that has two methods more than Optuna's: `note_usual(name, value)`, and `beside()`, which returns such a trial
for functions that are not chosen. All other trials know nothing of it.
"""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import optuna

from autotune.errors import StudyFileError

T = TypeVar("T")
Choice: TypeAlias = T | list[T] | tuple[T, ...]
"""A fixed value, or the list of all choices."""
Float: TypeAlias = float | tuple[float, float]
"""A fixed value, or the smallest and the largest value of a range."""
Int: TypeAlias = int | tuple[int, int]
"""A fixed value, or the smallest and the largest value of a range."""


def suggest_float(trial: optuna.Trial, name: str, given: Float, *, usual: float, log: bool = False) -> float:
    """Return a fixed value unchanged; suggest a value if `given` is a range.

    Raises:
        StudyFileError: If `given` is neither.
    """
    if isinstance(given, tuple):
        low, high = _ends(name, given, numbers.Real)
        if log and low <= 0:
            raise _no_range(name, given, "low is larger than 0: the search is on a logarithmic scale")
        _note(trial, name, usual)
        return trial.suggest_float(name, low, high, log=log)
    _check_value(name, given, numbers.Real)
    return given


def suggest_int(trial: optuna.Trial, name: str, given: Int, *, usual: int, step: int = 1) -> int:
    """Return a fixed value unchanged; suggest a value if `given` is a range.

    Raises:
        StudyFileError: If `given` is neither.
    """
    if isinstance(given, tuple):
        low, high = _ends(name, given, numbers.Integral)
        _note(trial, name, usual)
        return trial.suggest_int(name, low, high, step=step)
    _check_value(name, given, numbers.Integral)
    return given


def suggest_one(trial: optuna.Trial, name: str, given: Choice[T], *, usual: T) -> T:
    """Return a fixed value unchanged; suggest one of the values if `given` is a list or tuple."""
    found: Any = given  # types cannot express that T itself is no list or tuple
    if isinstance(found, (list, tuple)):
        _note(trial, name, usual)
        found = trial.suggest_categorical(name, list(found))
    chosen: T = found
    return chosen


def call_one(trial: optuna.Trial, name: str, choices: Sequence[Callable[..., T]], *args: Any, usual: str) -> T:
    """Return what one of several functions makes, which the trial suggests by its name; a single one is just called.

    Args:
        trial: The first argument of the function.
        name: The name of the hyperparameter.
        choices: The functions.
        args: More arguments of the function.
        usual: The name of the usual function, which need not be among the choices.

    Raises:
        StudyFileError: If there is none, or two have the same name.
    """
    by_name = {choice.__name__: choice for choice in choices}
    if not choices or len(by_name) < len(choices):
        raise StudyFileError(
            f"the choices for {name!r} are {[choice.__name__ for choice in choices]}.",
            "Expected at least one function, and a different name for each.",
            f"Give {name} a list like [spaces.adam, spaces.sgd].",
        )
    if len(choices) == 1:
        return choices[0](trial, *args)
    _note(trial, name, usual)
    chosen = by_name[trial.suggest_categorical(name, list(by_name))]
    _note_of_others(trial, [choice for choice in choices if choice is not chosen], args)
    return chosen(trial, *args)


def _note(trial: optuna.Trial, name: str, usual: object) -> None:
    note_usual = getattr(trial, "note_usual", None)
    if note_usual is not None:
        note_usual(name, usual)


def _note_of_others(trial: optuna.Trial, others: Sequence[Callable[..., object]], args: Sequence[Any]) -> None:
    """Note what is usual for the functions that the trial has not chosen."""
    beside = getattr(trial, "beside", None)
    if beside is None:
        return
    for other in others:
        with contextlib.suppress(Exception):  # the trials that choose it will show it
            other(beside(), *args)


def _ends(name: str, given: tuple[Any, ...], kind: type) -> tuple[Any, Any]:
    is_pair = len(given) == 2 and all(isinstance(one, kind) for one in given)
    if not is_pair or not all(map(math.isfinite, given)) or given[0] > given[1]:
        raise _no_range(name, given, "low is at most high")
    return given


def _check_value(name: str, given: object, kind: type) -> None:
    if not isinstance(given, kind):
        raise _no_range(name, given, "low is at most high")


def _no_range(name: str, given: object, rule: str) -> StudyFileError:
    return StudyFileError(
        f"{name}={given!r} is no range.",
        f"Expected a number, which is fixed, or a tuple (low, high) to search, where {rule}.",
        f"Write, for example, {name.split('_', 1)[-1]}=(1, 2) in the study file.",
    )
