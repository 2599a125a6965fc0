"""Windows of a series in one array, cut when they are read: the series is stored once, however much they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from autotune.errors import DataError


@final
class WindowArray:
    """Windows of one length in a series, as an array of shape (n, length, ...) that is cut when it is read.

    Args:
        series: Shape (steps, ...); may be mapped.
        starts: The first step of each window, shape (n,), integers.
        length: The number of steps of each window, at least 1.

    Example:
        >>> WindowArray(np.arange(5), np.array([0, 2]), 3)[[1]].tolist()
        [[2, 3, 4]]
    """

    def __init__(self, series: npt.NDArray[Any], starts: npt.NDArray[np.int64], length: int) -> None:
        self.series = series
        self.starts = starts
        self.length = length

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: npt.ArrayLike | slice) -> npt.NDArray[Any]:
        """Copy some windows, given by their positions or by a slice."""
        starts = self.starts[rows if isinstance(rows, slice) else np.asarray(rows, dtype=np.int64)]
        return np.asarray(self.series[starts[:, np.newaxis] + np.arange(self.length)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def __repr__(self) -> str:
        return f"WindowArray(shape={self.shape}, dtype={self.dtype})"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all windows."""
        return (len(self), self.length, *self.series.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the series."""
        return self.series.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all windows, if they were cut."""
        return self.dtype.itemsize * int(np.prod(self.shape))


def window_arrays(
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
