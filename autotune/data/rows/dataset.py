"""The `Dataset`: inputs, targets, weights and groups as arrays, and subsets that share these arrays.

`rows` are positions in the whole arrays, `positions` are positions among the dataset's own rows.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import mmap
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from autotune.data.rows.arrays import read_arrays
from autotune.data.rows.labels import count_classes, labels_of, names_of_columns, read_column
from autotune.data.rows.nests import Arrays, Leaf, Nest, mapped, padded, shape_of
from autotune.data.rows.ragged import RaggedArray, starts_of
from autotune.data.rows.row_source import SourceArrays, is_source, read_source
from autotune.data.rows.windows import WindowArray
from autotune.errors import DataError

_CHUNK_BYTES = 2**24


@final
class Dataset:
    """The rows of one learning problem, in memory or mapped from disk: whatever arrays `keras.Model.fit` takes.

    Inputs, targets and weights are arrays, or dicts, lists or tuples of arrays. All of them have one row for each
    example, along the first axis; a row may have any shape. A data frame of pandas or polars becomes a dict of columns.
    A list of arrays of different lengths is a list of rows, e.g. the tokens of sentences: it becomes a `RaggedArray`,
    and each batch is padded with zeros to its longest row. Anything else with `__len__` and `__getitem__` is a source
    of rows, (x, y), (x, y, sample_weight) or dicts: each row is read once, by several threads, into mapped files.

    Args:
        x: Inputs, an array of shape (n, ...) or a nest of such arrays, any dtype without Python objects; may be a
            `np.memmap`. Texts are arrays of strings. Or a source of rows with their targets.
        y: Targets, like x, e.g. integer labels, shape (n,), in [0, n_classes - 1]; numbers to predict; masks; a dict
            with an array for each output. None for a model that makes its own loss.
        sample_weight: The weight of each row, shape (n,), or of each output as Keras takes them; None for equal
            weights.
        name: The name of the data in reports.
        n_classes: Number of classes, if y is one integer label for each row; None for the largest label + 1, or for
            other targets.
        groups: The group of each row, shape (n,), integers or strings, e.g. its speaker; `GroupKFold` keeps the rows of
            a group together. None for no groups.
        stratify: The stratum of each row, shape (n,), integers or strings: each part of a split has the strata in the
            same proportions. None to take the labels if there is one integer label for each row, or else no strata.
        rows: Positions in the arrays that belong to this dataset, shape (m,), integers in [0, n - 1]; None for all.
        digest: The digest, if it is already known, so that the arrays need not be read to compute it.
        allow_nan: Whether NaN in x is allowed, as a missing value that the model can handle. Otherwise NaN in x is
            refused before the first trial. NaN in y or weights, and infinity, are always refused.
        feature_names: The names of the columns of x, for explanations, if x has the shape (n, columns). None for no
            names.
        overlap: Number of rows after each row that share a part of it, as windows of a series do; `Latest` leaves out
            as many between training and validation rows.
        target: If x is a source of dicts, the key or keys that are its targets; None for none.
        cache: Whether the rows of a source are read once, into files. False to read each row from the source whenever
            it is needed; then classes are known only from `n_classes`, and strata only from `stratify`.
        version: A name for the content, in place of a digest of all bytes, for data that take long to read. Change it
            whenever the content changes: trials on different content cannot be compared.

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
        >>> Dataset({"image": np.zeros((4, 8, 8, 1)), "age": np.ones(4)}, np.zeros((4, 8, 8, 1))).input_shape
        {'image': (8, 8, 1), 'age': ()}
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        name: str = "custom",
        n_classes: int | None = None,
        groups: npt.ArrayLike | None = None,
        stratify: npt.ArrayLike | None = None,
        rows: npt.ArrayLike | None = None,
        digest: str | None = None,
        allow_nan: bool = False,
        feature_names: Sequence[str] | None = None,
        overlap: int = 0,
        target: str | tuple[str, ...] | None = None,
        cache: bool = True,
        version: str | None = None,
    ) -> None:
        self._source: SourceArrays | None = None
        if y is None and is_source(x):
            self._source = None if cache else SourceArrays(x, target)
            found = self._source.first if self._source else read_source(x, target)
            if sample_weight is not None:
                raise DataError(
                    "sample_weight is given beside a source of rows.",
                    "Each row of a source has its own weight: (x, y, sample_weight).",
                    "Return the weight from __getitem__.",
                )
            x, y, sample_weight = found.x, found.y, found.sample_weight
        self._all = read_arrays(x, y, sample_weight, None if self._source else groups)
        self._n = len(self._source or self._all.leaves()[0][1])
        self._all_groups = read_column("groups", groups, self._n, "what each belongs to")
        self._all_strata = read_column("stratify", stratify, self._n, "the stratum")
        self._rows = None if rows is None else _as_positions(rows, self._n)
        if self._rows is None and self._n < 2:
            raise DataError(
                f"the dataset {name!r} has {self._n} row(s).",
                "At least two are needed: one to train on and one to validate on.",
                "Give arrays with more rows.",
            )
        self._known_digest = digest
        self.version = version
        self.name = name
        self.allow_nan = allow_nan
        self.overlap = overlap
        self.feature_names = names_of_columns(feature_names, x, self._all.x)
        self.n_classes = n_classes if self._source else count_classes(labels_of(self._all.y), n_classes)

    def __len__(self) -> int:
        return self._n if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        shape, classes = self.input_shape, self.n_classes
        return f"Dataset({self.name!r}, rows={len(self)}, input_shape={shape}, n_classes={classes})"

    @property
    def input_shape(self) -> Any:
        """Shape of one input: x without its first axis; a nest of shapes if x is a nest; None for a varying length."""
        return mapped(shape_of, self._all.x)

    @property
    def target_shape(self) -> Any:
        """Shape of one target, like `input_shape`; None if there is no y."""
        return None if self._all.y is None else mapped(shape_of, self._all.y)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row: input, target and weights; the mean of rows of different lengths, rounded up."""
        known = [leaf for _, leaf in self._all.leaves()]
        return -(-sum(int(leaf.nbytes) for leaf in known) // max(1, len(known[0])))

    @property
    def is_read_each_time(self) -> bool:
        """Whether rows are read from a source whenever they are needed (`cache=False`)."""
        return self._source is not None

    @property
    def is_ragged(self) -> bool:
        """Whether rows of some array differ in length."""
        return any(isinstance(leaf, RaggedArray) for _, leaf in self._all.leaves())

    @property
    def forms(self) -> Arrays:
        """The kind of each array, to store it: no rows of an array, the starts of a `RaggedArray` or `WindowArray`."""
        return self._all.map(self._form_of)

    def _form_of(self, leaf: Leaf) -> Leaf:
        if isinstance(leaf, WindowArray):
            return leaf if self._rows is None else WindowArray(leaf.series, leaf.starts[self._rows], leaf.length)
        if isinstance(leaf, RaggedArray):
            lengths = leaf.lengths if self._rows is None else leaf.lengths[self._rows]
            return RaggedArray(leaf.values[:0], starts_of(lengths))
        return leaf[:0]

    @property
    def row_lengths(self) -> dict[str, npt.NDArray[np.int64]]:
        """The lengths of this dataset's rows, shape (len(self),), for each `RaggedArray` by its name, e.g. "x"."""
        ragged = {name: leaf.lengths for name, leaf in self._all.leaves() if isinstance(leaf, RaggedArray)}
        return ragged if self._rows is None else {name: lengths[self._rows] for name, lengths in ragged.items()}

    def _at(self, rows: npt.NDArray[np.int64] | slice) -> Arrays:
        if self._source is None:
            return self._all.at(rows)
        return self._source.at(np.arange(self._n)[rows])

    @cached_property
    def _read(self) -> Arrays:
        """All rows of a source, which gives inputs, targets and weights together."""
        return self._at(slice(None) if self._rows is None else self._rows)

    def _own(self, part: Nest) -> Nest:
        """Return this dataset's rows of one part; a part of the whole dataset stays as it is."""
        if self._rows is not None:
            return mapped(lambda leaf: leaf[self._rows], part)
        return mapped(lambda leaf: leaf[:] if isinstance(leaf, WindowArray) else leaf, part)

    @cached_property
    def x(self) -> Nest:
        """Inputs of this dataset's rows: an array of shape (len(self), ...), or a nest of arrays as they were given.

        A subset copies its rows when they are first read. A layer that adapts to `data.x` sees the training rows only.
        """
        return self._read.x if self._source else self._own(self._all.x)

    @cached_property
    def y(self) -> Nest:
        """Targets of this dataset's rows, copied like `x`; None if there are none."""
        return self._read.y if self._source else None if self._all.y is None else self._own(self._all.y)

    @cached_property
    def sample_weight(self) -> Nest:
        """Weights of this dataset's rows, copied like `x`; None if there are none."""
        if self._source:
            return self._read.sample_weight
        return None if self._all.sample_weight is None else self._own(self._all.sample_weight)

    @property
    def labels(self) -> npt.NDArray[Any] | None:
        """The label of each of this dataset's rows, shape (len(self),); None if y is not one label for each row."""
        whole = None if self._source else labels_of(self._all.y)
        return whole if whole is None or self._rows is None else whole[self._rows]

    @property
    def strata(self) -> npt.NDArray[Any] | None:
        """The stratum of each of this dataset's rows for splits, shape (len(self),): as given, else its label."""
        labels = self.labels if self.stratify is None else self.stratify
        return labels.astype(np.int64) if labels is not None and labels.dtype.kind == "b" else labels

    @cached_property
    def groups(self) -> npt.NDArray[Any] | None:
        """The group of each of this dataset's rows, shape (len(self),); None if there are no groups."""
        return _chosen(self._all_groups, self._rows)

    @cached_property
    def stratify(self) -> npt.NDArray[Any] | None:
        """The given stratum of each of this dataset's rows, shape (len(self),); None if none were given."""
        return _chosen(self._all_strata, self._rows)

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the rows' dtypes, shapes and bytes, of groups and `n_classes`; the name does not count."""
        if self._known_digest is not None:
            return self._known_digest
        hashes = [hashlib.sha256() for _ in self._all.leaves()]
        for chunk in self.chunks() if self.version is None else ():
            for (_, leaf), found in zip(chunk.leaves(), hashes, strict=True):
                found.update(leaf.tobytes())
                if self._source and isinstance(leaf, RaggedArray):
                    found.update(leaf.lengths.astype("<i8").tobytes())
        form = self._form()
        if self.version is not None:
            form += ("version", self.version, () if self._rows is None else tuple(self._rows.tolist()))
        if self.groups is not None:
            form += (self.groups.dtype.str, hashlib.sha256(self.groups.tobytes()).hexdigest())
        if self.stratify is not None:
            form += ("stratify", self.stratify.dtype.str, hashlib.sha256(self.stratify.tobytes()).hexdigest())
        return hashlib.sha256(":".join((str(form), *(found.hexdigest() for found in hashes))).encode()).hexdigest()

    def _form(self) -> tuple[object, ...]:
        x, y = self._all.x, self._all.y
        is_plain = self._all.sample_weight is None and isinstance(x, np.ndarray) and isinstance(y, np.ndarray)
        if is_plain and y.ndim == 1:
            # As in the versions that had only this form.
            return (len(self), self.input_shape, x.dtype.str, y.dtype.str, self.n_classes)
        forms = self._all.structure(lambda name, leaf: (name, shape_of(leaf), leaf.dtype.str))
        known = {} if self._source else self.row_lengths
        lengths = {name: hashlib.sha256(found.tobytes()).hexdigest() for name, found in known.items()}
        return (len(self), json.dumps([forms, lengths]), self.n_classes)

    def take(self, positions: npt.ArrayLike) -> tuple[Nest, Nest]:
        """Copy some rows.

        Args:
            positions: Shape (b,), integers in [0, len(self) - 1], in any order.

        Returns:
            Inputs and targets in the order of `positions`, in the structure of `x` and `y`.

        Raises:
            DataError: `positions` are not integers in that range.
        """
        found = self.arrays_at(positions)
        return found.x, found.y

    def arrays_at(self, positions: npt.ArrayLike) -> Arrays:
        """Copy some rows with their weights, e.g. one batch; see `take`."""
        return self._at(self._rows_at(positions))

    def batch(self, positions: npt.ArrayLike, one_hot: bool = False) -> tuple[Any, ...]:
        """Copy some rows as `keras.Model.fit` takes them: (x,), (x, y) or (x, y, sample_weight), padded to one length.

        Args:
            positions: As in `take`.
            one_hot: Whether labels are given as float32 of shape (b, n_classes).
        """
        found = self.arrays_at(positions)
        if one_hot:
            one_for_each = np.eye(self.n_classes or 0, dtype=np.float32)
            found = dataclasses.replace(found, y=one_for_each[found.y.reshape(-1)])
        return found.map(padded).packed()

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
        return self._changed(_rows=rows, _known_digest=None)

    def chunks(self) -> Iterator[Arrays]:
        """Yield all rows in order in parts of about 16 MiB, so that a mapped array is never copied whole."""
        step = max(1, _CHUNK_BYTES // max(1, self.row_bytes))
        for start in range(0, len(self), step):
            stop = min(start + step, len(self))
            yield self._at(slice(start, stop) if self._rows is None else self._rows[start:stop])
            self.release()

    def release(self) -> None:
        """Take the pages of mapped arrays out of this process's memory; the system's cache of the files keeps them."""
        for _, leaf in self._all.leaves():
            values = leaf.values if isinstance(leaf, RaggedArray) else leaf
            if isinstance(values, np.memmap) and isinstance(values.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                values.base.madvise(mmap.MADV_DONTNEED)

    def with_digest(self, digest: str) -> Dataset:
        """Return this dataset with a digest that is known already."""
        return self._changed(_known_digest=digest)

    def with_n_classes(self, n_classes: int | None) -> Dataset:
        """Return this dataset with another number of classes, e.g. that of the development rows for test rows.

        Raises:
            DataError: A label is not below it.
        """
        return self._changed(n_classes=count_classes(self.labels, n_classes) if self.labels is not None else n_classes)

    def named_as(self, other: Dataset) -> Dataset:
        """Return this dataset with the name and the settings of another one that do not change its content."""
        same = ("name", "allow_nan", "overlap", "feature_names")
        return self._changed(_known_digest=self.digest, **{name: getattr(other, name) for name in same})

    def _changed(self, **changes: Any) -> Dataset:
        same = Dataset.__new__(Dataset)
        vars(same).update(vars(self), **changes)
        for name in ("_read", "x", "y", "sample_weight", "groups", "stratify", "digest"):
            vars(same).pop(name, None)  # they are cached
        return same

    def _rows_at(self, positions: npt.ArrayLike) -> npt.NDArray[np.int64]:
        own = _as_positions(positions, len(self))
        return own if self._rows is None else self._rows[own]


def _chosen(column: npt.NDArray[Any] | None, rows: npt.NDArray[np.int64] | None) -> npt.NDArray[Any] | None:
    return column if column is None or rows is None else column[rows]


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
