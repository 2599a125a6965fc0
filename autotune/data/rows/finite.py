"""A check for NaN and infinity in a dataset, before any network trains on it.

One such value in a batch makes the loss NaN, and then every weight; the NaN loss does not show that the data is the
cause.
"""

from __future__ import annotations

from typing import final

import numpy as np
import numpy.typing as npt

from autotune.data.rows.dataset import Dataset
from autotune.data.rows.nests import Leaf
from autotune.data.rows.ragged import RaggedArray
from autotune.errors import DataError

_SAMPLE = 2000  # rows
_LARGEST = float(np.finfo(np.float32).max)


def refuse_no_numbers(data: Dataset, what: str = "") -> None:
    """Refuse NaN and infinity in a dataset, and numbers too large for float32, in which Keras computes.

    Of rows that are read from a source each time, only a sample is checked.

    Args:
        data: The rows. NaN in x is accepted if the dataset has `allow_nan`.
        what: Words before the name in messages, e.g. "the test rows "; empty for the development rows.

    Raises:
        DataError: There are such values; the message says how many, and where the first one is.
    """
    names = [name for name, _ in data.arrays_at([]).leaves()]
    rows = np.arange(len(data))
    if data.is_read_each_time:
        rows = rows[:: -(-len(data) // _SAMPLE)]
        data = data.subset(rows)
    counts = {name: _Count(name, data.allow_nan and name.startswith("x"), rows) for name in names}
    for chunk in data.chunks():
        for name, leaf in chunk.leaves():
            counts[name].add(leaf)
    found = [count for count in counts.values() if count.n_rows]
    for count in sorted(found, key=lambda count: count.name.startswith("x")):  # targets first: they cannot be missing
        is_input, name = count.name.startswith("x"), count.name
        raise DataError(
            f"{what}{name} of {data.name!r} {count}.",
            f"Every {'input' if is_input else 'target and weight'} must be a finite number; otherwise the loss is NaN, "
            "whatever the learning rate.",
            _how_to_fix(count) if is_input else _leave_out(name),
        )


def _leave_out(name: str) -> str:
    keep = f"keep = np.isfinite({name}.reshape(len({name}), -1)).all(axis=1)"
    return (
        "Leave these rows out: keep = np.isfinite(y); Dataset(x[keep], y[keep])."
        if name == "y"
        else f"Leave these rows out of all arrays: {keep}."
    )


def _how_to_fix(count: _Count) -> str:
    name = count.name
    rows = (
        f"Leave these rows out, keep = np.isfinite({name}.reshape(len({name}), -1)).all(axis=1), or put a number in "
        "their place"
    )
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
        rows: The positions of the rows in the whole array.
    """

    def __init__(self, name: str, allow_nan: bool, rows: npt.NDArray[np.int64]) -> None:
        self.name = name
        self._rows = rows
        self._allow_nan = allow_nan
        self._seen = 0
        self._first: tuple[int, ...] = ()
        self.n_nan = self.n_infinite = self.n_rows = 0

    def add(self, leaf: Leaf) -> None:
        """Count NaN and infinity in the next rows."""
        part = leaf.values if isinstance(leaf, RaggedArray) else leaf
        if part.dtype.kind in "fc":
            is_nan = np.isnan(part)
            is_infinite = np.isinf(part)
            if part.dtype.itemsize > 4:
                is_infinite |= np.abs(part) > _LARGEST
            self._note(is_infinite if self._allow_nan else is_nan | is_infinite, leaf)
            self.n_nan += 0 if self._allow_nan else int(is_nan.sum())
            self.n_infinite += int(is_infinite.sum())
        self._seen += len(leaf)

    def _note(self, is_bad: npt.NDArray[np.bool_], leaf: Leaf) -> None:
        places = np.flatnonzero(is_bad.reshape(len(is_bad), -1).any(axis=1))  # along the first axis of the values
        if not len(places):
            return
        rows = np.searchsorted(leaf.starts, places, "right") - 1 if isinstance(leaf, RaggedArray) else places
        if not self._first:
            place, *at = (int(index) for index in np.argwhere(is_bad)[0])
            step = [place - int(leaf.starts[rows[0]])] if isinstance(leaf, RaggedArray) else []
            self._first = (int(self._rows[self._seen + int(rows[0])]), *step, *at)
        self.n_rows += len(np.unique(rows))

    def __str__(self) -> str:
        kinds = [f"{self.n_nan:,} times NaN"] if self.n_nan else []
        kinds += [f"{self.n_infinite:,} times infinity (or more than float32 holds)"] if self.n_infinite else []
        at = ", ".join(map(str, self._first))
        return (
            f"holds {' and '.join(kinds)}, in {self.n_rows:,} of {self._seen:,} rows; the first is in row "
            f"{self._first[0]:,}: {self.name}[{at}]"
        )
