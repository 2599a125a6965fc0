"""A check for NaN and infinity in a dataset, before any network trains on it.

One such value in a batch makes the loss NaN, and then every weight; the NaN loss does not show that the data is the
cause.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
import numpy.typing as npt

from autotune.data.dataset import Dataset
from autotune.errors import DataError

_LARGEST = float(np.finfo(np.float32).max)


def refuse_no_numbers(data: Dataset, what: str = "") -> None:
    """Refuse NaN and infinity in a dataset, and numbers too large for float32, in which Keras computes.

    Args:
        data: The rows. NaN in x is accepted if the dataset has `allow_nan`.
        what: Words before the name in messages, e.g. "the test rows "; empty for the development rows.

    Raises:
        DataError: There are such values; the message says how many, and where the first one is.
    """
    x_count, y_count = _Count("x", allow_nan=data.allow_nan), _Count("y", allow_nan=False)
    for x, y in data.chunks():
        x_count.add(x)
        y_count.add(y)
    if y_count.n_rows:
        raise DataError(
            f"{what}y of {data.name!r} {y_count}.",
            "Every target must be a finite number; otherwise the loss is NaN, whatever the learning rate.",
            "Leave these rows out: keep = np.isfinite(y); Dataset(x[keep], y[keep]).",
        )
    if x_count.n_rows:
        raise DataError(
            f"{what}x of {data.name!r} {x_count}.",
            "Every input must be a finite number; otherwise the loss is NaN, whatever the learning rate.",
            _how_to_fix(x_count),
        )


def _how_to_fix(count: _Count) -> str:
    rows = "Leave these rows out, keep = np.isfinite(x.reshape(len(x), -1)).all(axis=1), or put a number in their place"
    if not count.n_nan:
        return f"{rows}: np.clip."
    model = "If the model has layers that handle missing values: Dataset(x, y, allow_nan=True)."
    return f"{rows}: np.nan_to_num.\n{model}"


@final
class _Count:
    """Counts NaN and infinity in an array that is given part by part.

    Args:
        name: The name of the array in messages.
        allow_nan: Whether NaN is allowed and so is not counted.
    """

    def __init__(self, name: str, allow_nan: bool) -> None:
        self._name = name
        self._allow_nan = allow_nan
        self._seen = 0
        self._first: tuple[int, ...] = ()
        self.n_nan = self.n_infinite = self.n_rows = 0

    def add(self, part: npt.NDArray[Any]) -> None:
        """Count NaN and infinity in the next rows."""
        if part.dtype.kind in "fc":
            is_nan = np.isnan(part)
            is_infinite = np.isinf(part)
            if part.dtype.itemsize > 4:
                is_infinite |= np.abs(part) > _LARGEST
            self._note(is_infinite if self._allow_nan else is_nan | is_infinite)
            self.n_nan += 0 if self._allow_nan else int(is_nan.sum())
            self.n_infinite += int(is_infinite.sum())
        self._seen += len(part)

    def _note(self, is_bad: npt.NDArray[np.bool_]) -> None:
        in_row = is_bad.reshape(len(is_bad), -1).any(axis=1)
        if not self._first and in_row.any():
            row, *at = (int(index) for index in np.argwhere(is_bad)[0])
            self._first = (self._seen + row, *at)
        self.n_rows += int(in_row.sum())

    def __str__(self) -> str:
        kinds = [f"{self.n_nan:,} times NaN"] if self.n_nan else []
        kinds += [f"{self.n_infinite:,} times infinity (or more than float32 holds)"] if self.n_infinite else []
        at = ", ".join(map(str, self._first))
        return (
            f"holds {' and '.join(kinds)}, in {self.n_rows:,} of {self._seen:,} rows; the first is in row "
            f"{self._first[0]:,}: {self._name}[{at}]"
        )
