"""Data frames of pandas and polars as dicts of columns, which Keras's preprocessing layers can read.

Numbers stay numbers; a missing one is NaN. Words and categories become strings; a missing one is "", which
`keras.layers.StringLookup(mask_token="")` treats as missing. Neither library needs to be installed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.errors import DataError

_LIBRARIES = ("pandas", "polars")
_SHOWN = 40  # characters of a value


def is_frame(value: object) -> bool:
    """Tell whether a value is a data frame of pandas or polars."""
    return _is_of_library(value, "DataFrame")


def is_column(value: object) -> bool:
    """Tell whether a value is a column of a data frame of pandas or polars."""
    return _is_of_library(value, "Series")


def columns_of(name: str, frame: Any) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of a data frame.

    Args:
        name: The name of the frame in messages.
        frame: A frame for which `is_frame` is true.

    Raises:
        DataError: Two columns have the same name, or `column_of` refuses one.
    """
    names = [*map(str, frame.columns)]
    if len(set(names)) < len(names):
        twice = next(one for one in names if names.count(one) > 1)
        raise DataError(
            f"{name} has two columns with the name {twice!r}.",
            "Every column of a data frame needs a name of its own.",
            f"Rename one of them: {name}.columns = [...].",
        )
    return {own: column_of(f"{name}[{own!r}]", frame[column]) for own, column in zip(names, frame.columns, strict=True)}


def column_of(name: str, column: Any) -> npt.NDArray[Any]:
    """Return the values of a column, shape (n,): integers, floats, truth values or strings.

    Raises:
        DataError: It holds values of several kinds, or of a kind that Keras does not read.
    """
    values = column.to_numpy()
    if values.dtype.kind in "iufbUMm":  # without missing values, or with NaN for them; times are refused by their name
        return np.asarray(values)
    found = [None if _is_missing(value) else value for value in column.to_list()]
    known = [value for value in found if value is not None]
    for kinds, converted in _KINDS:
        if known and all(isinstance(value, kinds) for value in known):
            return converted(found)
    odd = next((value for value in known if not isinstance(value, type(known[0]))), known[0] if known else None)
    raise DataError(
        f"{name} holds {short(known[0])} and {short(odd)}." if known else f"{name} holds no values.",
        "A column holds numbers, truth values, or words.",
        f"Convert it, for example {name}.astype(str), or leave it out.",
    )


def _truths(values: Sequence[Any]) -> npt.NDArray[Any]:
    return np.array(values, bool) if None not in values else _floats(values)


def _whole(values: Sequence[Any]) -> npt.NDArray[Any]:
    return np.array(values, np.int64) if None not in values else _floats(values)


def _floats(values: Sequence[Any]) -> npt.NDArray[Any]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _words(values: Sequence[Any]) -> npt.NDArray[Any]:
    return np.array(["" if value is None else value for value in values], dtype=str)


_KINDS: Sequence[tuple[tuple[type, ...], Callable[[Sequence[Any]], npt.NDArray[Any]]]] = (
    ((bool, np.bool_), _truths),
    ((int, np.integer), _whole),
    ((int, float, np.integer, np.floating), _floats),
    ((str,), _words),
)


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def _is_of_library(value: object, kind: str) -> bool:
    return any(
        base.__name__ == kind and base.__module__.partition(".")[0] in _LIBRARIES for base in type(value).__mro__
    )


def short(value: object) -> str:
    """Return a value in a few characters, for messages."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
