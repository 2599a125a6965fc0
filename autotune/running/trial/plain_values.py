"""What study files give to a trial, as every storage and every process gives it back, or refused by name.

Storages keep JSON, and the parent knows no class of the study file. So choices travel as plain values, and the trial
process hands out the study file's own object by its place among the choices: a tuple stays a tuple.
"""

from __future__ import annotations

import enum
import json
import math
import reprlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from autotune.errors import SearchSpaceError

_MAX_NAME = 512  # characters of the columns that Optuna's databases have for names
_PLAIN = (
    "A choice is None, a bool, a number, a string, or a list, tuple or dict of these: every storage gives them back as "
    "they were."
)


class NotPlainError(TypeError):
    """A value that JSON cannot carry. Its text says what it is."""


def plain(value: Any) -> Any:
    """Return a value as JSON carries it: NumPy's numbers as Python's, tuples and arrays as lists.

    Raises:
        NotPlainError: If it, or something in it, is nothing of the kind.
    """
    try:
        return _plain(value)
    except RecursionError:
        raise NotPlainError("it contains itself") from None


def plain_number(value: Any) -> Any:
    """Return a number of NumPy's as one of Python's, and everything else as it is, for Optuna to judge."""
    array = _as_array(value)
    return value if array is None or array.ndim else array.item()


def as_float(value: Any) -> float:
    """Return a number of any kind as a float: NumPy's, a tensor's, a decimal number, a fraction. A masked one is NaN.

    Raises:
        TypeError: If it is none, as Optuna's trials do.
    """
    if np.ma.is_masked(value) and np.size(value) == 1:
        return math.nan  # what is behind the mask is a filler
    array = _as_array(value)
    if array is not None and array.size == 1:  # `float` of an array with an axis will be an error
        value = array.item()
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        what = f"{_shown(value)} is of type {type(value).__name__!r}"
        raise TypeError(f"{what}, and cannot be made a float") from None


def plain_choices(name: str, choices: Sequence[Any]) -> list[Any]:
    """Return the choices of a categorical parameter as storages keep them, in their order.

    Raises:
        SearchSpaceError: If they have no order, one of them cannot be kept, or two of them are one to Optuna.
    """
    if isinstance(choices, (set, frozenset)) or not hasattr(choices, "__len__"):
        raise SearchSpaceError(
            f"the choices of {name!r} are a {type(choices).__name__}.",
            "Choices are counted and have an order, which is the same in every process.",
            f'Write a list: trial.suggest_categorical("{name}", [...])',
        )
    kept = [_plain_choice(name, choice) for choice in choices]
    if twins := _first_twins(kept):
        one, other = (_shown(list(choices)[at]) for at in twins)
        raise SearchSpaceError(
            f"{one} and {other} are both choices of {name!r}, and are equal.",
            "Optuna keeps which of the choices a trial had, and takes equal ones for the first of them, as Python does "
            "with 1, 1.0 and True.",
            "Write each choice once; tell those that are equal apart by names, and look these up in a dict.",
        )
    return kept


def place_of(value: Any, choices: Sequence[Any]) -> int | None:
    """Return where a value stands among plain choices; None if it is none of them."""
    return next((at for at, choice in enumerate(choices) if _is_same(choice, value)), None)


def plain_name(name: Any, of: str) -> str:
    """Return the name of a parameter or of an attribute as storages keep it.

    Args:
        name: The name.
        of: What it names.

    Raises:
        SearchSpaceError: If it is none.
    """
    if isinstance(name, str) and 0 < len(name) <= _MAX_NAME and "\0" not in name and _is_text(name):
        return str.__str__(name)
    raise SearchSpaceError(
        f"{_shown(name)} cannot name {of}.",
        f"A name is a string of at least one character and at most {_MAX_NAME}, and has no NUL and no half of a "
        "surrogate pair.",
        "Correct the name in the study file.",
    )


def _plain(value: Any) -> Any:
    for kind, make in ((bool, bool), (int, int), (float, float), (str, str.__str__)):  # also what is derived of them
        if isinstance(value, kind):
            return make(value)
    if value is None:
        return None
    if isinstance(value, np.generic) and not isinstance(inside := value.item(), np.generic):
        return _plain(inside)
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {_plain_key(key): _plain(one) for key, one in value.items()}
    if not isinstance(value, np.generic) and (array := _as_array(value)) is not None:
        return _plain(array.tolist())
    raise NotPlainError(_described(value))


def _as_array(value: Any) -> np.ndarray[Any, Any] | None:
    """Return the array that NumPy's, TensorFlow's and others' numbers and arrays are; None for everything else."""
    if not hasattr(value, "__array__") or isinstance(value, type):
        return None
    try:
        return np.asarray(value)
    except Exception:  # of whatever library: on another device, still to be computed
        return None


def _plain_key(key: Any) -> Any:
    key = plain_number(key)
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, (bool, int, float)):
        return key  # JSON writes it as a string, as Optuna does
    raise NotPlainError(f"the key {_described(key)}")


def _plain_choice(name: str, choice: Any) -> Any:
    try:
        kept = plain(choice)
        if _is_same(json.loads(json.dumps(kept)), kept):
            return kept
        problem = f"{_shown(choice)} is not the same after a storage has kept it"
    except (NotPlainError, ValueError) as error:
        problem = str(error)
    raise SearchSpaceError(
        f"a choice of {name!r} cannot be kept: {problem}.",
        _PLAIN,
        f'Suggest names and look them up: {{"one": ..., "other": ...}}[trial.suggest_categorical("{name}", '
        '["one", "other"])]',
    )


def _first_twins(choices: Sequence[Any]) -> tuple[int, int] | None:
    try:
        if len(set(choices)) == len(choices) and sum(choice != choice for choice in choices) < 2:
            return None
    except TypeError:
        pass  # lists have no hash
    for at, choice in enumerate(choices):
        if (first := place_of(choice, choices)) is not None and first < at:
            return first, at
    return None


def _is_same(one: Any, other: Any) -> bool:
    """Tell whether two choices are one to Optuna, to which NaN is NaN."""
    return bool(one == other) or all(isinstance(value, float) and math.isnan(value) for value in (one, other))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _described(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return f"{value} is a member of an Enum; its name is {value.name!r}"
    if isinstance(value, Collection) and not isinstance(value, Sequence):
        return f"{_shown(value)} is a {type(value).__name__}, which has no order"
    return f"{_shown(value)} is of type {type(value).__name__}"


def _shown(value: Any) -> str:
    try:
        return reprlib.repr(value)
    except Exception:  # of a class of the study file, which may do anything
        return f"a {type(value).__name__}"
