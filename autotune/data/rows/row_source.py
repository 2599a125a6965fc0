"""Rows that are read one by one, from anything with `__len__` and `__getitem__`.

They are decoded once to mapped files, or read from the source each time.

What is covered: Grain's random-access sources, PyTorch's map-style datasets, Hugging Face's datasets, classes of one's
own, Keras's `PyDataset` and finite `tf.data` datasets (both in batches or not).
What is not covered: sources without an end.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from autotune.data.rows.frames import is_column, is_frame
from autotune.data.rows.leaf import without_objects
from autotune.data.rows.nests import Arrays, Leaf, leaves, mapped
from autotune.data.rows.ragged import RaggedArray, starts_of
from autotune.errors import DataError
from autotune.failures import summary_of

_THREADS = 4
_AHEAD = 32  # rows that are being decoded at one time
_FIRST_ROWS = 8
_PARTS = ("x", "y", "sample_weight")


def is_source(value: Any) -> bool:
    """Tell whether a value gives rows one by one, or is a finite `tf.data.Dataset`."""
    if hasattr(value, "element_spec"):
        return True
    is_rows = hasattr(type(value), "__getitem__") and hasattr(type(value), "__len__")
    is_array = hasattr(value, "shape") or hasattr(value, "__array__") or is_frame(value) or is_column(value)
    return is_rows and not is_array and not isinstance(value, (str, bytes, Mapping, list, tuple, range, memoryview))


def read_source(source: Any, target: str | tuple[str, ...] | None = None) -> Arrays:
    """Read all rows of a source once, and return them as mapped arrays of temporary files.

    Args:
        source: A source for which `is_source` is true. A row is (x, y), (x, y, sample_weight) or a dict.
        target: The keys of a dict of columns that are the targets; None for none.

    Raises:
        DataError: A row cannot be read, or rows have different structures.
    """
    folder = Path(tempfile.mkdtemp(prefix="autotune-rows-"))
    try:
        rows = (_arrays_of(row, target, number) for number, row in enumerate(_rows(source)))
        with contextlib.ExitStack() as stack:
            found = _written(rows, folder, stack)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    first = found.leaves()[0][1]
    weakref.finalize(first.values if isinstance(first, RaggedArray) else first, shutil.rmtree, folder, True)
    return found


@final
class SourceArrays:
    """The rows of a source that are read each time, in place of `Arrays` in memory.

    Rows of some array may differ in the length of their first axis, if two of the first rows do.

    Args:
        source: A source with `__len__` and `__getitem__`.
        target: As in `read_source`.

    Attributes:
        first: A few rows, for the structure, shapes and dtypes of all.
    """

    def __init__(self, source: Any, target: str | tuple[str, ...] | None) -> None:
        if hasattr(source, "element_spec") or _is_in_batches(source):
            raise DataError(
                f"cache=False was given, but {type(source).__name__} does not give single rows by their number.",
                "Rows that are not cached are read by their numbers, in the order of each epoch.",
                "Leave cache=False out, or give a source with __len__ and __getitem__.",
            )
        self._source = source
        self._target = target
        self._n = len(source)
        rows = np.arange(min(self._n, _FIRST_ROWS))
        self.first = _stacked(self._read(rows), rows, None)
        self._ragged = frozenset(name for name, leaf in self.first.leaves() if isinstance(leaf, RaggedArray))

    def __len__(self) -> int:
        return self._n

    def at(self, rows: npt.NDArray[np.integer[Any]]) -> Arrays:
        """Read some rows with several threads.

        Raises:
            DataError: A row cannot be read, or has another structure or shape than the others.
        """
        return _stacked(self._read(rows), rows, self._ragged) if len(rows) else self.first.at(slice(0, 0))

    def _read(self, rows: npt.NDArray[np.integer[Any]]) -> list[Arrays]:
        found = zip(rows, _read(self._source, rows), strict=True)
        return [_arrays_of(row, self._target, int(number)).map(_as_array) for number, row in found]


def _stacked(read: Sequence[Arrays], rows: npt.NDArray[np.integer[Any]], ragged: frozenset[str] | None) -> Arrays:
    """Put rows together; those of `ragged` leaves, or by default of leaves with several lengths, become ragged."""
    if not read:
        raise DataError("the source has no rows.", "At least two are needed.", "Give a source with rows.")
    structure = read[0].structure(lambda name, _: {"leaf": name})
    by_name = [dict(row.leaves()) for row in read]
    found: dict[str, Leaf] = {}
    for name, like in by_name[0].items():
        arrays = [row[name] for row in by_name if name in row]
        if ragged is None:
            is_ragged = like.ndim > 0 and len({array.shape[:1] for array in arrays}) > 1
        else:
            is_ragged = name in ragged
        for row, own in zip(rows, by_name, strict=True):
            _check_row(name, int(row), own.get(name), like, is_ragged)
        found[name] = RaggedArray.of(arrays) if is_ragged else np.stack(arrays)
    return Arrays.of_structure(structure, lambda form: found[form["leaf"]])


def _check_row(name: str, row: int, array: npt.NDArray[Any] | None, like: npt.NDArray[Any], is_ragged: bool) -> None:
    shape = None if array is None else array.shape
    is_like = shape is not None and len(shape) == like.ndim and shape[1:] == like.shape[1:]
    if not is_like or (shape != like.shape and not is_ragged):
        raise DataError(
            f"{name} of row {row:,} has the shape {shape}, and another row has the shape {like.shape}.",
            "All rows of a source have the same arrays and shapes. The first axis may have another length if that is "
            f"so in its first {_FIRST_ROWS} rows.",
            "Resize or convert the row in __getitem__.",
        )


def _is_in_batches(source: Any) -> bool:
    return any(base.__name__ == "PyDataset" for base in type(source).__mro__)


def _rows(source: Any) -> Iterator[Any]:
    if hasattr(source, "element_spec"):
        yield from _of_tensorflow(source)
    elif _is_in_batches(source):
        yield from itertools.chain.from_iterable(map(_split_batch, _read(source, range(len(source)))))
    else:
        yield from _read(source, range(len(source)))


def _read(source: Any, rows: Iterable[int]) -> Iterator[Any]:
    """Yield rows in the given order, decoded by several threads ahead of time."""
    n = len(source)
    left = iter(rows)
    with ThreadPoolExecutor(_THREADS, "autotune-rows") as pool:
        waiting: deque[tuple[int, Future[Any]]] = deque()
        while True:
            for row in itertools.islice(left, _AHEAD - len(waiting)):
                waiting.append((int(row), pool.submit(source.__getitem__, int(row))))
            if not waiting:
                return
            number, future = waiting.popleft()
            try:
                yield future.result()
            except IndexError as error:
                raise DataError(
                    f"the source has no row {number:,}: {summary_of(error)}.",
                    f"Its length is {n:,}, so it has the rows 0 to {n - 1:,}.",
                    "Correct its __len__ or its __getitem__.",
                ) from error
            except DataError:
                raise
            except Exception as error:
                raise DataError(
                    f"the source stopped at row {number:,} with {summary_of(error)}.",
                    "Each row is read by its number.",
                    f"Read source[{number}] yourself to see the whole traceback; correct the row or leave it out.",
                ) from error


def _of_tensorflow(dataset: Any) -> Iterator[Any]:
    if int(dataset.cardinality()) == -1:
        raise DataError(
            "the tf.data.Dataset has no end.",
            "It is read once and stored, so it must be finite.",
            "Give it without .repeat(), or cut it with .take(n).",
        )
    first, again = (_flat(next(iter(dataset.as_numpy_iterator()), ())) for _ in range(2))
    if not all(np.array_equal(one, other) for one, other in zip(first, again, strict=False)):
        raise DataError(
            "the tf.data.Dataset gives its rows in another order, or with other values, each time.",
            "Its rows are stored once, and a study knows them by their content. Each epoch has its own order, from the "
            "seed.",
            "Give it without .shuffle() (image_dataset_from_directory(..., shuffle=False)) and without random changes; "
            "these belong into `batch` or into the model.",
        )
    is_batched = any(spec.shape.rank and spec.shape[0] is None for spec in _flat(dataset.element_spec))
    elements = dataset.as_numpy_iterator()
    yield from itertools.chain.from_iterable(map(_split_batch, elements)) if is_batched else elements


def _flat(nest: Any) -> list[Any]:
    return [leaf for _, leaf in leaves(nest)]


def _split_batch(batch: Any) -> Iterator[Any]:
    arrays = mapped(np.asarray, batch)
    for row in range(len(_flat(arrays)[0])):
        yield mapped(lambda leaf: leaf[row], arrays)  # noqa: B023 -- reason: called at once


def _arrays_of(row: Any, target: str | tuple[str, ...] | None, number: int) -> Arrays:
    if isinstance(row, Mapping):
        if set(row) <= set(_PARTS) and "x" in row:
            return Arrays(row["x"], row.get("y"), row.get("sample_weight"))
        names = (target,) if isinstance(target, str) else target or ()
        if missing := [name for name in names if name not in row]:
            raise DataError(
                f"row {number:,} of the source has no {missing[0]!r}; it has {', '.join(map(repr, row))}.",
                "target names the keys of each row that are its targets.",
                "Correct target.",
            )
        y = {name: row[name] for name in names}
        x = {name: value for name, value in row.items() if name not in names}
        return Arrays(x, y[target] if isinstance(target, str) else y or None)
    if isinstance(row, (tuple, list)) and 1 <= len(row) <= len(_PARTS):
        return Arrays(*row)
    raise DataError(
        f"row {number:,} of the source is {type(row).__name__}.",
        "A row is (x, y), (x, y, sample_weight), or a dict.",
        "Return such a tuple from __getitem__; for inputs alone return (x,).",
    )


def _written(rows: Iterable[Arrays], folder: Path, stack: contextlib.ExitStack) -> Arrays:
    files: dict[str, _LeafFile] = {}
    structure: Any = None
    n = 0
    for number, row in enumerate(rows):
        named = row.map(_as_array).leaves()
        form = row.structure(lambda name, _: {"leaf": name})
        if structure is None:
            structure = form
            files = {name: _LeafFile(name, folder / f"{at}.bin") for at, (name, _) in enumerate(named)}
            for file in files.values():
                stack.callback(file.close)
        if form != structure:
            raise DataError(
                f"row {number:,} of the source has the arrays {', '.join(name for name, _ in named)}.",
                f"All rows have those of row 0: {', '.join(files)}.",
                "Return the same structure for every row.",
            )
        for name, array in named:
            files[name].add(array, number)
        n = number + 1
    if n == 0:
        raise DataError("the source has no rows.", "At least two are needed.", "Give a source with rows.")
    found = {name: file.opened(n) for name, file in files.items()}
    return Arrays.of_structure(structure, lambda form: found[form["leaf"]])


def _as_array(value: Any) -> npt.NDArray[Any]:
    return without_objects(np.asarray(value.numpy() if hasattr(value, "numpy") else value))


class _LeafFile:
    """The rows of one leaf, appended to a file; strings stay in memory.

    Args:
        name: The name of the leaf, for messages.
        path: The file.
    """

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path
        self._file = path.open("wb")
        self._texts: list[Any] = []
        self._dtype: np.dtype[Any] | None = None
        self._shapes: dict[tuple[int, ...], int] = {}
        self._lengths: list[int] = []

    def add(self, array: npt.NDArray[Any], number: int) -> None:
        """Append the row with this number."""
        if self._dtype is None:
            self._dtype = array.dtype
        is_text = array.dtype.kind in "US" and self._dtype.kind == array.dtype.kind
        is_same = array.ndim == (len(next(iter(self._shapes))) if self._shapes else array.ndim)
        rest = next(iter(self._shapes), array.shape)[1:]
        if not (is_text or array.dtype == self._dtype) or not is_same or array.shape[1:] != rest:
            raise DataError(
                f"{self._name} of row {number:,} has the shape {array.shape} and the dtype {array.dtype}.",
                f"Row 0 has the shape {next(iter(self._shapes), array.shape)} and the dtype {self._dtype}; rows may "
                "differ in the length of their first axis only.",
                "Resize or convert the row in __getitem__.",
            )
        self._shapes.setdefault(array.shape, number)
        self._lengths.append(array.shape[0] if array.ndim else 1)
        if is_text:
            self._texts.append(array)
        else:
            self._file.write(np.ascontiguousarray(array).tobytes())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def opened(self, n: int) -> Leaf:
        """Return all n rows, mapped from the file."""
        assert self._dtype is not None
        self.close()
        shape = next(iter(self._shapes))
        is_ragged = len(self._shapes) > 1
        if self._texts:
            texts = np.concatenate([text.reshape(-1) for text in self._texts]) if shape else np.array(self._texts)
            values = texts if is_ragged else texts.reshape(n, *shape)
        else:
            whole = (sum(self._lengths), *shape[1:]) if is_ragged else (n, *shape)
            empty = int(np.prod(whole)) == 0
            values = (
                np.zeros(whole, self._dtype) if empty else np.memmap(self._path, self._dtype, mode="r", shape=whole)
            )
        if not is_ragged:
            return values
        return RaggedArray(values, starts_of(self._lengths))
