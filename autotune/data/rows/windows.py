"""Windows of a series in one array, cut when they are read: the series is stored once, however much they overlap."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import numpy.typing as npt


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
        """Copy one window, or some windows, given by their positions or by a slice."""
        if isinstance(rows, (int, np.integer)):
            start = self.starts[rows]
            return np.array(self.series[start : start + self.length])
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
