"""Datasets that are made from something else than arrays of rows: windows of a series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from autotune.data.dataset import Dataset
from autotune.data.windows import window_arrays


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
    x, y = window_arrays(series, length, horizon, step, target)
    return Dataset(x, y, name=name, overlap=-(-(length + horizon - 1) // step))
