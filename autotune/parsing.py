"""Turn stored JSON into typed records, and refuse values that have the wrong type or are out of range.

Other programs may write anything to a storage. A record is made from stored values by the types of its own fields. If
a field is missing, has another type or is out of range, no record is made and `NotUnderstoodError` is raised.
"""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, RecursionError)
"""The errors that code may raise when it reads a damaged record."""

_T = TypeVar("_T")
_LARGEST = 2**63  # databases, NumPy and figures cannot hold larger integers
_SHOWN = 60


class NotUnderstoodError(ValueError):
    """A stored value does not have the expected type or range; the message says in one line which value."""


def parsed(kind: type[_T], stored: Any, where: str = "it") -> _T:
    """Convert a stored JSON value to the type that it should have.

    Args:
        kind: A dataclass, `str`, `int`, `float`, `bool`, or a type made of these: unions, lists, tuples, mappings
            with string keys, `Literal`, `Any`. A float may be infinite or NaN, and an integer is accepted as a float.
            Keys that a dataclass has no field for are ignored. Its `__post_init__` may raise ValueError for values out
            of range.
        stored: The stored value.
        where: The name of the value in messages.

    Raises:
        NotUnderstoodError: If the value does not have this type.
    """
    found: _T = _parsed(kind, stored, where)
    return found


def parsed_or_none(kind: type[_T], stored: Any) -> _T | None:
    """Convert like `parsed`, but return None if the value is missing or does not have this type."""
    try:
        return parsed(kind, stored)
    except NotUnderstoodError:
        return None


def _parsed(kind: Any, stored: Any, where: str) -> Any:
    if kind is Any:
        return stored
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(kind), stored, where)
    if origin is Literal:
        if isinstance(stored, str) and stored in get_args(kind):
            return stored
    elif is_dataclass(kind):
        return _record(kind, stored, where)
    elif origin is not None and issubclass(origin, Mapping):
        if isinstance(stored, Mapping):
            pairs = {_parsed(str, key, where): (one, f"{where}[{_shown(key)}]") for key, one in stored.items()}
            return {key: _parsed(get_args(kind)[1], *pair) for key, pair in pairs.items()}
    elif origin is not None and issubclass(origin, Sequence):
        if isinstance(stored, (list, tuple)):
            listed = [_parsed(get_args(kind)[0], one, f"{where}[{n}]") for n, one in enumerate(stored)]
            return tuple(listed) if origin is tuple else listed
    elif _is_plain(kind, stored):
        return float(stored) if kind is float else stored
    raise NotUnderstoodError(f"{where} is {_shown(stored)}, and not {_named(kind)}")


def _is_plain(kind: Any, stored: Any) -> bool:
    if kind in (int, float) and isinstance(stored, int):
        return not isinstance(stored, bool) and abs(stored) < _LARGEST
    if kind is str and isinstance(stored, str):
        return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in stored)
    return type(stored) is kind


def _one_of(kinds: tuple[Any, ...], stored: Any, where: str) -> Any:
    if stored is None and types.NoneType in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not types.NoneType)
    for kind in kinds[:-1]:
        try:
            return _parsed(kind, stored, where)
        except NotUnderstoodError:
            continue
    return _parsed(kinds[-1], stored, where)


def _record(kind: Any, stored: Any, where: str) -> Any:
    if not isinstance(stored, Mapping):
        raise NotUnderstoodError(f"{where} is {_shown(stored)}, and no record")
    hints, values = _hints(kind), {}
    for field in fields(kind):
        if field.name in stored:
            values[field.name] = _parsed(hints[field.name], stored[field.name], f"{where}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise NotUnderstoodError(f"{where} has no {field.name}")
    try:
        return kind(**values)
    except ValueError as error:
        raise NotUnderstoodError(f"{where}: {error}") from error


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _named(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and get_origin(kind) is None else str(kind).replace("typing.", "")


def _shown(stored: Any) -> str:
    """Return a value as text for one line: cut to `_SHOWN` characters, with control characters escaped."""
    if isinstance(stored, float) and not math.isfinite(stored):
        return str(stored)
    text = ascii(stored) if isinstance(stored, (str, int, float, bool, type(None))) else f"a {type(stored).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."
