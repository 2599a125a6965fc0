"""Checks of the arrays that a user gives as inputs, targets or groups of rows.

What is not covered: values that no network can use, such as NaN. `refuse_no_numbers` looks for them once in each run,
because it has to read every number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.errors import DataError

_SHOWN = 40  # characters of a value

_TARGETS = "y holds one integer (a label from 0) or one float (a regression target) for each row."
_INPUTS = "x holds numbers or strings, and no Python objects."
_OF_TARGETS = {
    "b": ("truth values", "Make them labels: y.astype('int64')."),
    "M": ("times", "Predict a number: (y - y.min()) / np.timedelta64(1, 'h')."),
    "m": ("durations", "Predict a number: y / np.timedelta64(1, 'h')."),
    "c": ("complex numbers", "Predict one real number, y.real or np.abs(y)."),
    "V": ("records", "Predict one of their fields: y['name']."),
}
_OF_INPUTS = {
    "M": ("times", "Make them numbers: (x - x.min()) / np.timedelta64(1, 'h')."),
    "m": ("durations", "Make them numbers: x / np.timedelta64(1, 'h')."),
    "V": ("records", "Make them columns: np.lib.recfunctions.structured_to_unstructured(x)."),
}


def plain(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return values as an ordinary array; a `np.memmap` stays mapped.

    Raises:
        DataError: The rows differ in shape, or some values are masked.
    """
    try:
        array = np.asanyarray(values)
    except ValueError as error:
        raise DataError(
            f"{name} cannot be made an array: {error}.",
            "All rows must have the same shape.",
            "Pad or cut rows of different lengths, keras.utils.pad_sequences(rows).",
        ) from error
    if not isinstance(array, np.ma.MaskedArray):
        return array if isinstance(array, np.memmap) else np.asarray(array)
    mask: Any = np.ma.getmaskarray(array)
    if mask.any():
        raise DataError(
            f"{name} is a masked array: {int(mask.sum()):,} of its {array.size:,} values are masked, the first in row "
            f"{int(np.argwhere(mask)[0][0]):,}.",
            "A network reads every value, and a masked place holds only a filler, such as 1e+20.",
            f"Leave these rows out, or put a value in their place: {name}.filled(value).",
        )
    return np.asarray(array.data)


def check_arrays(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> None:
    """Refuse inputs and targets that differ in length, or have a dtype that no network reads.

    Raises:
        DataError: They do.
    """
    if x.ndim == 0 or y.ndim != 1 or len(x) != len(y):
        raise DataError(
            f"x has the shape {x.shape} and y has the shape {y.shape}.",
            "x has one row per example, (n, ...), and y one target per example, (n,).",
            "Give as many targets as inputs; a column of labels becomes a row with y.reshape(-1), one-hot labels with "
            "np.argmax(y, axis=1).",
        )
    if x.dtype.kind in _OF_INPUTS:
        what, fix = _OF_INPUTS[x.dtype.kind]
        raise DataError(f"x holds {what} (dtype {x.dtype}).", _INPUTS, fix)
    if x.dtype.hasobject:
        raise DataError(
            f"x has the dtype {x.dtype}: {_first_object(x)}.",
            _INPUTS,
            "Convert numbers with x.astype('float32') and texts with np.array(texts, dtype=str); number the words of a "
            "column with np.unique(column, return_inverse=True)[1].",
        )
    if y.dtype.kind not in "iuf":
        raise _unusable_targets(y)


def check_groups(groups: npt.NDArray[Any] | None, n: int) -> None:
    """Refuse groups that do not give one integer or string for each of n rows.

    Raises:
        DataError: They do not.
    """
    if groups is not None and (groups.shape != (n,) or groups.dtype.kind not in "iuU"):
        raise DataError(
            f"groups has the shape {groups.shape} and the dtype {groups.dtype}.",
            f"groups names what each of the {n} rows belongs to: integers or strings, of shape ({n},).",
            "Give one group for each row, e.g. groups=np.array(speakers).",
        )


def names_of_columns(names: Sequence[str] | None, x: object, shape: tuple[int, ...]) -> tuple[str, ...] | None:
    """Return the names of the columns of x: as given, else those of a data frame, else None.

    Raises:
        DataError: There is not one name for each column.
    """
    if names is None:
        columns = getattr(x, "columns", None)
        return tuple(map(str, columns)) if columns is not None and shape[1:] == (len(columns),) else None
    if isinstance(names, str) or not all(isinstance(name, str) for name in names) or shape[1:] != (len(names),):
        raise DataError(
            f"feature_names is {_short(list(names))}, and x has the shape {shape}.",
            "feature_names gives each column of a table, x of shape (n, columns), one name.",
            'Write, for example, feature_names=["age", "height"], or leave it out.',
        )
    return tuple(map(str, names))


def _unusable_targets(y: npt.NDArray[Any]) -> DataError:
    if y.dtype.kind in _OF_TARGETS:
        what, fix = _OF_TARGETS[y.dtype.kind]
        return DataError(f"y holds {what} (dtype {y.dtype}).", _TARGETS, fix)
    if y.dtype.kind in "US" or (len(y) and all(isinstance(one, (str, bytes)) for one in y)):
        return DataError(
            f"y holds words, e.g. {_short(y[0])} in row 0." if len(y) else f"y has the dtype {y.dtype}.",
            _TARGETS,
            "Number the classes: classes, y = np.unique(words, return_inverse=True). Class k is then called "
            "classes[k].",
        )
    return DataError(
        f"y has the dtype {y.dtype}: {_first_object(y)}.",
        _TARGETS,
        "Leave out the rows without a target, then y.astype('int64') for labels or y.astype('float32') for numbers.",
    )


def _first_object(array: npt.NDArray[Any]) -> str:
    """Describe the first value that is not a number; say so if all of them are numbers."""
    for at, value in np.ndenumerate(array):
        if not isinstance(value, (int, float, np.number, np.bool_)):
            return f"row {at[0]:,} holds {_short(value)}"
    return "its numbers are Python objects"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
