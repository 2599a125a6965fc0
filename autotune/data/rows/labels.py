"""Labels, groups and strata of rows, and names of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data.rows.frames import column_of, is_column, short
from autotune.data.rows.leaf import plain
from autotune.data.rows.nests import Nest
from autotune.errors import DataError


def labels_of(y: Nest) -> npt.NDArray[Any] | None:
    """Return the labels, shape (n,), if y is one integer or truth value for each row; otherwise None."""
    is_one = isinstance(y, np.ndarray) and (y.ndim == 1 or y.shape[1:] == (1,)) and y.dtype.kind in "iub"
    return y.reshape(-1) if is_one else None


def count_classes(labels: npt.NDArray[Any] | None, n_classes: int | None) -> int | None:
    if labels is None:
        _check_no_classes(n_classes)
        return None
    if len(labels) == 0:
        return n_classes
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or (n_classes is not None and high >= n_classes):
        raise DataError(
            f"the labels in y run from {low} to {high}.",
            "Labels are integers from 0" + ("." if n_classes is None else f" to {n_classes - 1}."),
            "Number the classes from 0 (np.unique(y, return_inverse=True)[1]), or "
            + ("give numbers to predict as y.astype('float32')." if low < 0 else "give a larger n_classes."),
        )
    return high + 1 if n_classes is None else n_classes


def read_column(name: str, values: object, n: int, what: str) -> npt.NDArray[Any] | None:
    """Read one integer or string for each of n rows; None stays None.

    Args:
        name: The name of the argument.
        values: Its value.
        n: The number of rows.
        what: What it says about each row, for messages.

    Raises:
        DataError: It is something else.
    """
    if values is None:
        return None
    found = column_of(name, values) if is_column(values) else plain(name, values)
    if found.dtype.hasobject and all(isinstance(one, str) for one in found.flat):
        found = found.astype(str)
    if found.shape != (n,) or found.dtype.kind not in "iuU":
        raise DataError(
            f"{name} has the shape {found.shape} and the dtype {found.dtype}.",
            f"{name} says {what} of the {n} rows: integers or strings, of shape ({n},).",
            f"Give one for each row, e.g. {name}=np.array(speakers).",
        )
    return found


def names_of_columns(names: Sequence[str] | None, given: object, x: Nest) -> tuple[str, ...] | None:
    """Return the names of the columns of x, if it is one table: as given, else those of its class, else None.

    Raises:
        DataError: There is not one name for each column.
    """
    shape = x.shape if isinstance(x, np.ndarray) else ()
    if names is None:
        columns = getattr(given, "columns", None)
        return tuple(map(str, columns)) if columns is not None and shape[1:] == (len(columns),) else None
    if isinstance(names, str) or not all(isinstance(name, str) for name in names) or shape[1:] != (len(names),):
        raise DataError(
            f"feature_names is {short(list(names))}, and x has the shape {shape}."
            if isinstance(x, np.ndarray)
            else f"feature_names is {short(list(names))}, and x is no single array.",
            "feature_names gives each column of a table, x of shape (n, columns), one name.",
            'Write, for example, feature_names=["age", "height"], or leave it out.',
        )
    return tuple(map(str, names))


def _check_no_classes(n_classes: int | None) -> None:
    if n_classes is not None:
        raise DataError(
            f"n_classes is {n_classes}, but y is not one integer label for each row (y may hold floats).",
            "Classes are numbered by integer labels, y of shape (n,); other targets have no classes.",
            "Use y.astype('int64') for labels, or leave n_classes out.",
        )
