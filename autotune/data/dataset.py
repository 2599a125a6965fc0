"""The `Dataset`: inputs, targets and groups as arrays, and subsets that share these arrays.

Shapes: n rows; x is (n, ...), y and groups are (n,). `rows` are positions in the whole arrays, `positions` are
positions among the dataset's own rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from autotune.data.arrays import check_arrays, check_groups, names_of_columns, plain
from autotune.errors import DataError

_CHUNK_BYTES = 2**24


@final
class Dataset:
    """Inputs and targets of one learning problem, in memory or mapped from disk.

    Args:
        x: Inputs, shape (n, ...), any dtype without Python objects; may be a `np.memmap`.
        y: Targets, shape (n,): integer labels in [0, n_classes - 1], or floats for regression.
        name: The name of the data in reports.
        n_classes: Number of classes; None for the largest label + 1, or for float targets.
        groups: The group of each row, shape (n,), integers or strings, e.g. its speaker; `GroupKFold` keeps the rows of
            a group together. None for no groups.
        rows: Positions in x and y that belong to this dataset, shape (m,), integers in [0, n - 1]; None for
            all.
        digest: The digest, if it is already known, so that the arrays need not be read to compute it.
        allow_nan: Whether NaN in x is allowed, as a missing value that the model can handle. Otherwise NaN in x is
            refused before the first trial. NaN in y, and infinity in x or y, are always refused.
        feature_names: The names of the columns of x, for explanations, if x has the shape (n, columns). None to take
            the column names of a data frame, or no names.

    Raises:
        DataError: The lengths differ, there are fewer than two rows, values are masked, or the labels or groups cannot
            be used.

    Example:
        >>> import numpy as np
        >>> data = Dataset(np.zeros((4, 8, 8, 1)), np.array([0, 1, 0, 1]))
        >>> len(data), data.input_shape, data.n_classes
        (4, (8, 8, 1), 2)
        >>> len(data.subset([0, 3]))
        2
    """

    def __init__(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        name: str = "custom",
        n_classes: int | None = None,
        groups: npt.ArrayLike | None = None,
        rows: npt.ArrayLike | None = None,
        digest: str | None = None,
        allow_nan: bool = False,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self._all_x = plain("x", x)
        self._all_y = plain("y", y)
        self._all_groups = None if groups is None else plain("groups", groups)
        check_arrays(self._all_x, self._all_y)
        check_groups(self._all_groups, len(self._all_x))
        self._rows = None if rows is None else _as_positions(rows, len(self._all_x))
        if self._rows is None and len(self._all_x) < 2:
            raise DataError(
                f"the dataset {name!r} has {len(self._all_x)} row(s).",
                "At least two are needed: one to train on and one to validate on.",
                "Give x and y with more rows.",
            )
        self._known_digest = digest
        self.name = name
        self.allow_nan = allow_nan
        self.feature_names = names_of_columns(feature_names, x, self._all_x.shape)
        self.n_classes = _count_classes(self._all_y, n_classes)

    def __len__(self) -> int:
        return len(self._all_x) if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        shape, classes = self.input_shape, self.n_classes
        return f"Dataset({self.name!r}, rows={len(self)}, input_shape={shape}, n_classes={classes})"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input: x without its first axis."""
        return self._all_x.shape[1:]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, input and target."""
        return self._all_x.itemsize * int(np.prod(self.input_shape)) + self._all_y.itemsize

    @cached_property
    def x(self) -> npt.NDArray[Any]:
        """Inputs of this dataset's rows, shape (len(self), ...).

        A subset copies its rows when this is first read. A layer that adapts to `data.x` sees the training rows only.
        """
        return self._all_x if self._rows is None else self._all_x[self._rows]

    @cached_property
    def y(self) -> npt.NDArray[Any]:
        """Targets of this dataset's rows, shape (len(self),); copied like `x`."""
        return self._all_y if self._rows is None else self._all_y[self._rows]

    @cached_property
    def groups(self) -> npt.NDArray[Any] | None:
        """The group of each of this dataset's rows, shape (len(self),); None if there are no groups."""
        if self._all_groups is None or self._rows is None:
            return self._all_groups
        return self._all_groups[self._rows]

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the rows' dtypes, shapes and bytes, of groups and `n_classes`; the name does not count."""
        if self._known_digest is not None:
            return self._known_digest
        x_hash, y_hash = hashlib.sha256(), hashlib.sha256()
        for x, y in self.chunks():
            x_hash.update(x.tobytes())
            y_hash.update(y.tobytes())
        form: tuple[object, ...] = (len(self), self.input_shape, self._all_x.dtype.str, self._all_y.dtype.str)
        form += (self.n_classes,)
        if self.groups is not None:
            form += (self.groups.dtype.str, hashlib.sha256(self.groups.tobytes()).hexdigest())
        return hashlib.sha256(f"{form}:{x_hash.hexdigest()}:{y_hash.hexdigest()}".encode()).hexdigest()

    def take(self, positions: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Copy some rows, e.g. one batch.

        Args:
            positions: Shape (b,), integers in [0, len(self) - 1], in any order.

        Returns:
            Inputs of shape (b, ...) and targets of shape (b,), in the order of `positions`.

        Raises:
            DataError: `positions` are not integers in that range.
        """
        rows = self._rows_at(positions)
        return self._all_x[rows], self._all_y[rows]

    def subset(self, positions: npt.ArrayLike) -> Dataset:
        """Return a dataset of some rows that shares this one's arrays.

        Args:
            positions: Shape (m,), integers in [0, len(self) - 1].

        Returns:
            A dataset with the same name and number of classes. Nothing is copied.

        Raises:
            DataError: `positions` are not integers in that range.
        """
        rows = self._rows_at(positions)
        return Dataset(
            self._all_x,
            self._all_y,
            name=self.name,
            n_classes=self.n_classes,
            groups=self._all_groups,
            rows=rows,
            allow_nan=self.allow_nan,
            feature_names=self.feature_names,
        )

    def chunks(self) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """Yield all rows in order as pairs (x, y) of about 16 MiB, so that a mapped array is never copied whole."""
        step = max(1, _CHUNK_BYTES // self.row_bytes)
        for start in range(0, len(self), step):
            stop = min(start + step, len(self))
            rows = slice(start, stop) if self._rows is None else self._rows[start:stop]
            yield self._all_x[rows], self._all_y[rows]

    def _rows_at(self, positions: npt.ArrayLike) -> npt.NDArray[np.int64]:
        own = _as_positions(positions, len(self))
        return own if self._rows is None else self._rows[own]


def _as_positions(positions: npt.ArrayLike, n: int) -> npt.NDArray[np.int64]:
    array = np.asarray(positions)
    if array.size == 0 and array.ndim == 1:
        return array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= n:
        raise DataError(
            f"rows of a dataset were chosen by {array.dtype} positions of shape {array.shape}.",
            f"Positions must be a one-dimensional array of integers from 0 to {n - 1}.",
            "Turn a boolean mask into positions with np.flatnonzero(mask).",
        )
    return array.astype(np.int64)


def _count_classes(y: npt.NDArray[Any], n_classes: int | None) -> int | None:
    if y.dtype.kind == "f":
        _check_no_classes(n_classes)
        return None
    if len(y) == 0:
        return n_classes
    low, high = int(y.min()), int(y.max())
    if low < 0 or (n_classes is not None and high >= n_classes):
        raise DataError(
            f"the labels in y run from {low} to {high}.",
            "Labels are integers from 0" + ("." if n_classes is None else f" to {n_classes - 1}."),
            "Number the classes from 0 (np.unique(y, return_inverse=True)[1]) or give a larger n_classes.",
        )
    return high + 1 if n_classes is None else n_classes


def _check_no_classes(n_classes: int | None) -> None:
    if n_classes is not None:
        raise DataError(
            f"n_classes is {n_classes}, but y holds floats.",
            "Classes are numbered by integer labels; float targets are for regression and have no classes.",
            "Use y.astype('int64') for labels, or leave n_classes out.",
        )
