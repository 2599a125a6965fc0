"""Datasets of windows of a series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset, WindowArray
from autotune.errors import DataError


def windows(
    series: npt.ArrayLike,
    length: int,
    horizon: int = 1,
    step: int = 1,
    *,
    target: int | Sequence[int] | None = None,
    name: str = "series",
) -> Dataset:
    """Return the windows of a series, and what follows each of them, as a dataset in order of time.

    The series is stored once, and windows are cut when they are read. Use it with `folds=Latest(fraction)`, which
    leaves out the rows that overlap the rows to validate on.

    Args:
        series: Shape (steps,) or (steps, columns), numbers, in order of time; may be a `np.memmap`.
        length: Steps of each window, at least 1.
        horizon: Steps to predict after each window, at least 1.
        step: Steps between the starts of two windows, at least 1.
        target: The column or columns to predict; None for all.
        name: The name of the data in reports.

    Returns:
        x of shape (n, length) or (n, length, columns); y of shape (n, horizon), or (n, horizon, columns) if several
        columns are predicted.

    Raises:
        DataError: An argument is out of range, or the series is shorter than two windows.

    Example:
        >>> import numpy as np
        >>> data = windows(np.arange(10.0), length=3, horizon=2)
        >>> data.x[0].tolist(), data.y[0].tolist()
        ([0.0, 1.0, 2.0], [3.0, 4.0])
    """
    x, y = _window_arrays(series, length, horizon, step, target)
    return Dataset(x, y, name=name, overlap=-(-(length + horizon - 1) // step))


def _window_arrays(
    series: npt.ArrayLike, length: int, horizon: int, step: int, target: int | Sequence[int] | None
) -> tuple[WindowArray, WindowArray]:
    """Return the windows of a series and the steps that follow each of them; see `autotune.windows`.

    Raises:
        DataError: An argument is out of range, or the series is shorter than two windows.
    """
    array = np.asanyarray(series)
    for name, value in (("length", length), ("horizon", horizon), ("step", step)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise DataError(
                f"{name} is {value!r}.",
                f"{name} is a number of steps of the series, an integer of at least 1.",
                "Write, for example, windows(series, length=24, horizon=1).",
            )
    if array.ndim not in (1, 2) or array.dtype.kind not in "iufb" or len(array) < length + horizon + step:
        raise DataError(
            f"the series has the shape {array.shape} and the dtype {array.dtype}; windows of {length} steps and "
            f"{horizon} more are cut every {step} steps.",
            "A series is an array of numbers of shape (steps,) or (steps, columns), long enough for two windows.",
            "Give a longer series or shorter windows; cut several series one by one, and use groups.",
        )
    starts = np.arange(0, len(array) - length - horizon + 1, step)
    return WindowArray(array, starts, length), WindowArray(_targets(array, target), starts + length, horizon)


def _targets(array: npt.NDArray[Any], target: int | Sequence[int] | None) -> npt.NDArray[Any]:
    if target is None:
        return array
    columns = np.atleast_1d(np.asarray(target))
    if array.ndim != 2 or columns.dtype.kind not in "iu" or not ((columns >= 0) & (columns < array.shape[1])).all():
        raise DataError(
            f"target is {target!r}, and the series has the shape {array.shape}.",
            "target names columns of a series of shape (steps, columns) by their numbers, from 0.",
            "Leave target out to predict all columns.",
        )
    return np.ascontiguousarray(array[:, target])
