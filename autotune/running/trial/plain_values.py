"""Conversion of a study file's values to plain ones that every storage and process can keep.

Storages keep JSON, and the parent does not have the classes of the study file. So choices are sent as plain values, and
the trial process returns the study file's own object at the same position among the choices: a tuple stays a tuple.
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

_MAX_NAME = 512  # characters in the name columns of Optuna's databases
_PLAIN = (
    "A choice is None, a bool, a number, a string, or a list, tuple or dict of these: every storage returns them "
    "unchanged."
)


class NotPlainError(TypeError):
    """JSON cannot represent a value. The text describes the value."""


def plain(value: Any) -> Any:
    """Return a value in the types of JSON: NumPy's numbers become Python's, tuples and arrays become lists.

    Raises:
        NotPlainError: If JSON cannot represent it or something in it.
    """
    try:
        return _plain(value)
    except RecursionError:
        raise NotPlainError("it contains itself") from None


def plain_number(value: Any) -> Any:
    """Return a NumPy number as a Python number, and any other value unchanged, for Optuna to check."""
    array = _as_array(value)
    return value if array is None or array.ndim else array.item()


def as_float(value: Any) -> float:
    """Return any number as a float: of NumPy, of a tensor, a `Decimal`, a `Fraction`. A masked one becomes NaN.

    Raises:
        TypeError: If it is not a number; Optuna's trials raise the same.
    """
    if np.ma.is_masked(value) and np.size(value) == 1:
        return math.nan  # the value behind the mask has no meaning
    array = _as_array(value)
    if array is not None and array.size == 1:  # NumPy deprecates `float` of an array with an axis
        value = array.item()
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        what = f"{_shown(value)} is of type {type(value).__name__!r}"
        raise TypeError(f"{what}, and cannot be converted to a float") from None


def plain_choices(name: str, choices: Sequence[Any]) -> list[Any]:
    """Return the choices of a categorical parameter in plain values, in the same order.

    Raises:
        SearchSpaceError: If they have no order, one of them cannot be stored, or two of them are equal for Optuna.
    """
    if isinstance(choices, (set, frozenset)) or not hasattr(choices, "__len__"):
        raise SearchSpaceError(
            f"the choices of {name!r} are a {type(choices).__name__}.",
            "Choices must have a length, and an order that is the same in every process.",
            f'Write a list: trial.suggest_categorical("{name}", [...])',
        )
    kept = [_plain_choice(name, choice) for choice in choices]
    if twins := _first_twins(kept):
        one, other = (_shown(list(choices)[at]) for at in twins)
        raise SearchSpaceError(
            f"{one} and {other} are both choices of {name!r}, and are equal.",
            "Choices must differ: Optuna stores the position of a trial's choice, and finds equal choices at the "
            "position of the first. In Python, 1, 1.0 and True are equal.",
            "Write each choice once. To have equal values, suggest names and look the values up in a dict.",
        )
    return kept


def place_of(value: Any, choices: Sequence[Any]) -> int | None:
    """Return the position of a value among plain choices; None if it is not among them."""
    return next((at for at, choice in enumerate(choices) if _is_same(choice, value)), None)


def plain_name(name: Any, of: str) -> str:
    """Return the name of a parameter or of an attribute as a plain `str`.

    Args:
        name: The name.
        of: The kind of thing that it names, e.g. "a user attribute", for the error.

    Raises:
        SearchSpaceError: If it is not a valid name.
    """
    if isinstance(name, str) and 0 < len(name) <= _MAX_NAME and "\0" not in name and _is_text(name):
        return str.__str__(name)
    raise SearchSpaceError(
        f"{_shown(name)} cannot name {of}.",
        f"A name is a string of 1 to {_MAX_NAME} characters, without NUL and without half of a surrogate pair.",
        "Correct the name in the study file.",
    )


def _plain(value: Any) -> Any:
    for kind, make in ((bool, bool), (int, int), (float, float), (str, str.__str__)):  # and their subclasses
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
    """Return a number or array of NumPy, TensorFlow or another library as an array; None for any other value."""
    if not hasattr(value, "__array__") or isinstance(value, type):
        return None
    try:
        return np.asarray(value)
    except Exception:  # any library may raise any error, e.g. for an array on another device
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
        problem = f"{_shown(choice)} would be different after it was stored"
    except (NotPlainError, ValueError) as error:
        problem = str(error)
    raise SearchSpaceError(
        f"a choice of {name!r} cannot be stored: {problem}.",
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
    """Tell whether two choices are equal for Optuna, where NaN equals NaN."""
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
    except Exception:  # `__repr__` of a class of the study file may raise any error
        return f"a {type(value).__name__}"
