"""Read and check what a user gives as inputs, targets, weights, groups or strata of rows.

What is not covered: values that no network can use, such as NaN. `refuse_no_numbers` looks for them once in each run,
because it has to read every number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data.frames import column_of, columns_of, is_column, is_frame, short
from autotune.data.nests import Arrays, Leaf, Nest, leaves
from autotune.data.ragged import RaggedArray
from autotune.data.windows import WindowArray
from autotune.errors import DataError

_TARGETS = "Targets are numbers: labels from 0, or values to predict."
_INPUTS = "x holds numbers or strings, and no Python objects."
_OF_TARGETS = {
    "M": ("times", "Predict a number: (y - y.min()) / np.timedelta64(1, 'h')."),
    "m": ("durations", "Predict a number: y / np.timedelta64(1, 'h')."),
    "c": ("complex numbers", "Predict one real number, y.real or np.abs(y)."),
    "V": ("records", "Predict one of their fields: y['name']."),
}
_OF_INPUTS = {
    "M": ("times", "Make them numbers: (x - x.min()) / np.timedelta64(1, 'h')."),
    "m": ("durations", "Make them numbers: x / np.timedelta64(1, 'h')."),
    "V": ("records", "Make them columns: {name: x[name] for name in x.dtype.names}."),
}


def read_arrays(x: object, y: object, sample_weight: object, groups: object = None) -> Arrays:
    """Read inputs, targets and weights, each an array or a nest of arrays, and check that they can be used.

    Arrays stay as they are, mapped ones too. A data frame becomes a dict of its columns. A list of arrays is a list of
    inputs, as in Keras, if these have one row for each example; otherwise it is a list of rows, one array for each.

    Raises:
        DataError: The numbers of rows differ, or there are values that no network reads.
    """
    given = {"x": x, "y": y, "sample_weight": sample_weight, "groups": groups}
    n = _count_rows([part for part in given.values() if part is not None])
    parts = {name: None if part is None else _read(name, part, n) for name, part in given.items() if name != "groups"}
    found = Arrays(parts["x"], parts["y"], parts["sample_weight"])
    if found.x is None:
        raise DataError("x is None.", "x holds the inputs: arrays with one row for each example.", "Give x.")
    _check_lengths(found)
    for name, leaf in leaves(found.x, "x"):
        _check_input(name, leaf)
    _check_targets(found.y)
    _check_weights(found)
    return found


def plain(name: str, values: Any) -> npt.NDArray[Any]:
    """Return values as an ordinary array; a `np.memmap` stays mapped.

    Raises:
        DataError: The rows differ in shape, or some values are masked.
    """
    if hasattr(values, "toarray"):
        raise DataError(
            f"{name} is a sparse matrix of shape {values.shape}.",
            "Rows are stored as arrays with all values.",
            f"Give {name}.toarray().",
        )
    try:
        array = np.asanyarray(values)
    except ValueError as error:
        raise DataError(
            f"{name} cannot be made an array: {error}.",
            "All rows must have the same shape, or differ in the length of their first axis only.",
            "Pad or cut rows of different lengths, keras.utils.pad_sequences(rows).",
        ) from error
    if not isinstance(array, np.ma.MaskedArray):
        return array if isinstance(array, np.memmap) else np.asarray(array)
    mask: Any = np.ma.getmaskarray(array)
    if mask.any():
        raise DataError(
            f"{name} is a masked array: {int(mask.sum()):,} of its {array.size:,} values are masked, the first in row "
            f"{int(np.argwhere(mask)[0][0]):,}.",
            "A network reads every value, and a masked place holds only a filler, such as 1e+20.",
            f"Leave these rows out, or put a value in their place: {name}.filled(value).",
        )
    return np.asarray(array.data)


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


def labels_of(y: Nest) -> npt.NDArray[Any] | None:
    """Return the labels, shape (n,), if y is one integer or truth value for each row; otherwise None."""
    is_one = isinstance(y, np.ndarray) and (y.ndim == 1 or y.shape[1:] == (1,)) and y.dtype.kind in "iub"
    return y.reshape(-1) if is_one else None


def _count_rows(parts: Sequence[object]) -> int | None:
    """Return the number of rows that all parts can be read with; None if there is none."""
    first, *others = [_possible(part) for part in parts]
    return next((n for n in first if all(n in other for other in others)), None)


def _possible(part: Any) -> list[int]:
    """Return the numbers of rows that a nest can be read with, the likeliest first."""
    if isinstance(part, Mapping) or _is_list_of_arrays(part):
        inner = [_possible(one) for one in (part.values() if isinstance(part, Mapping) else part)]
        shared = [n for n in inner[0] if all(n in other for other in inner[1:])] if inner else []
        if isinstance(part, Mapping) or not _is_rows(part):
            return shared
        # No model has more inputs than there are rows: then each array is a row.
        return sorted([*shared, len(part)], reverse=True) if shared else [len(part)]
    try:
        return [len(part)]
    except TypeError:  # a number, or a tensor without axes
        return []


def _is_list_of_arrays(part: Any) -> bool:
    return isinstance(part, (list, tuple)) and len(part) > 0 and all(_is_nest(one) for one in part)


def _is_nest(part: Any) -> bool:
    is_array = len(getattr(part, "shape", ()) or ()) > 0
    return is_array or isinstance(part, Mapping) or is_frame(part) or _is_list_of_arrays(part)


def _is_rows(part: Sequence[Any]) -> bool:
    """Tell whether the parts of a list may be rows: arrays, and no nests."""
    return all(
        hasattr(one, "shape") and not is_frame(one) and not isinstance(one, (RaggedArray, WindowArray)) for one in part
    )


def _read(name: str, part: Any, n: int | None) -> Nest:
    if part is None:
        raise DataError(f"{name} is None.", "Every part of a nest is an array.", f"Leave {name} out.")
    if isinstance(part, (RaggedArray, WindowArray)):
        return part
    if is_frame(part):
        return columns_of(name, part)
    if is_column(part):
        return column_of(name, part)
    if isinstance(part, Mapping):
        if odd := [key for key in part if not isinstance(key, str)] or ([] if part else ["{}"]):
            raise DataError(
                f"{name} is a dict with the key {odd[0]!r}." if part else f"{name} is an empty dict.",
                "The keys of a dict of arrays are the names of inputs or outputs.",
                'Write, for example, {"image": images, "text": texts}.',
            )
        return {key: _read(f"{name}[{key!r}]", one, n) for key, one in part.items()}
    if _is_list_of_arrays(part) and not (_is_rows(part) and _are_rows(part, n)):
        read = [_read(f"{name}[{number}]", one, n) for number, one in enumerate(part)]
        return read if isinstance(part, list) else tuple(read)
    return _leaf(name, part)


def _are_rows(part: Sequence[Any], n: int | None) -> bool:
    """Tell whether a list of arrays, which might be several inputs or the rows of one, is the latter."""
    lengths = {len(one) for one in part}
    return lengths != {n} and n == len(part) if n is not None else len(lengths) > 1


def _leaf(name: str, part: Any) -> Leaf:
    if hasattr(part, "row_splits") and hasattr(part, "flat_values"):  # a RaggedTensor of TensorFlow
        return _of_ragged_tensor(name, part)
    is_ragged = isinstance(part, (list, tuple)) and len({len(one) for one in part if hasattr(one, "__len__")}) > 1
    if is_ragged and not any(isinstance(one, (str, bytes)) for one in part):
        return _ragged(name, part)
    array = plain(name, part)
    if not array.dtype.hasobject or array.ndim != 1 or not len(array):
        return without_objects(array)
    if all(isinstance(one, (np.ndarray, list, tuple)) for one in array):
        return _ragged(name, list(array))
    return without_objects(array)


def _ragged(name: str, rows: Sequence[Any]) -> Leaf:
    arrays = [without_objects(plain(f"{name}[{number}]", row)) for number, row in enumerate(rows)]
    kinds = {array.shape[1:] for array in arrays if len(array)} if all(array.ndim for array in arrays) else set()
    if len(kinds) > 1 or not all(array.ndim for array in arrays):
        raise DataError(
            f"the rows of {name} have different shapes, e.g. {arrays[0].shape} and "
            f"{next((a.shape for a in arrays if a.shape[1:] != arrays[0].shape[1:]), arrays[-1].shape)}.",
            "All rows must have the same shape, or differ in the length of their first axis only.",
            "Pad or cut the other axes to one length.",
        )
    like = next((array for array in arrays if len(array)), arrays[0])
    return RaggedArray.of([array if len(array) else like[:0] for array in arrays])


def _of_ragged_tensor(name: str, tensor: Any) -> Leaf:
    if tensor.ragged_rank > 1:
        raise DataError(
            f"{name} is a tensor that is ragged in {tensor.ragged_rank} axes.",
            "Rows may differ in the length of their first axis only.",
            f"Give {name}.to_tensor().",
        )
    return RaggedArray(without_objects(tensor.flat_values.numpy()), tensor.row_splits.numpy().astype(np.int64))


def without_objects(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array of Python strings or bytes as one of NumPy's strings; any other array as it is."""
    if not array.dtype.hasobject or not array.size:
        return array
    if all(isinstance(one, str) for one in array.flat):
        return array.astype(str)
    is_bytes = all(isinstance(one, bytes) for one in array.flat)
    # NumPy's bytes lose zeros at their end.
    return array.astype(bytes) if is_bytes and not any(one.endswith(b"\0") for one in array.flat) else array


def _check_lengths(found: Arrays) -> None:
    named = found.leaves()
    if not named:
        raise DataError("x has no arrays.", "x holds at least one array of inputs.", "Give x.")
    for name, leaf in named:
        if not leaf.shape:
            what, fix = _of_single(leaf[()])
            raise DataError(
                f"{name} is {what}.",
                f"{name} has one row for each example: an array of shape (n, ...).",
                fix or f"Give {name} as an array, or as a dict, list or tuple of arrays.",
            )
    first_name, first = named[0]
    for name, leaf in named[1:]:
        if len(leaf) != len(first):
            raise DataError(
                f"{name} has {len(leaf):,} rows, and {first_name} has {len(first):,}: their shapes are {leaf.shape} "
                f"and {first.shape}.",
                "All arrays of a dataset have one row for each example, along their first axis.",
                f"Give as many rows in {name} as in {first_name}.",
            )


def _of_single(value: object) -> tuple[str, str]:
    """Return what was given in place of rows, and what to give instead where that depends on it."""
    if isinstance(value, str):
        return f"the text {short(value)}", "Read the file, and give its rows as an array, or as a data frame."
    if isinstance(value, Iterator):
        return f"a Python iterator ({type(value).__name__})", (
            "Give a class with __len__ and __getitem__, a finite tf.data.Dataset, or an array of all rows."
        )
    return "a single value", ""


def _check_input(name: str, leaf: Leaf) -> None:
    if leaf.dtype.kind in _OF_INPUTS:
        what, fix = _OF_INPUTS[leaf.dtype.kind]
        raise DataError(f"{name} holds {what} (dtype {leaf.dtype}).", _INPUTS, fix.replace("x", name))
    if leaf.dtype.hasobject:
        raise DataError(
            f"{name} has the dtype {leaf.dtype}: {_first_object(leaf)}.",
            _INPUTS,
            "Convert numbers with x.astype('float32') and texts with np.array(texts, dtype=str); number the words of a "
            "column with np.unique(column, return_inverse=True)[1]. A table of words and numbers can be a dict of "
            "columns.",
        )


def _check_targets(y: Nest) -> None:
    if isinstance(y, np.ndarray) and y.dtype.kind in "US":
        raise DataError(
            f"y holds words, e.g. {short(y.flat[0])} in row 0." if y.size else f"y has the dtype {y.dtype}.",
            _TARGETS,
            "Number the classes: classes, y = np.unique(words, return_inverse=True). Class k is then called "
            "classes[k]. Give texts that the model itself reads in a dict: y={'text': y}.",
        )
    for name, leaf in [] if y is None else leaves(y, "y"):
        if leaf.dtype.kind in _OF_TARGETS:
            what, fix = _OF_TARGETS[leaf.dtype.kind]
            raise DataError(f"{name} holds {what} (dtype {leaf.dtype}).", _TARGETS, fix.replace("y", name))
        if leaf.dtype.hasobject:
            raise DataError(
                f"{name} has the dtype {leaf.dtype}: {_first_object(leaf)}.",
                _TARGETS,
                f"Leave out the rows without a target, then {name}.astype('int64') for labels or "
                f"{name}.astype('float32') for numbers.",
            )


def _check_weights(found: Arrays) -> None:
    if found.sample_weight is None:
        return
    if found.y is None:
        raise DataError(
            "sample_weight is given without y.",
            "Keras weights the losses of targets.",
            "Give y, or leave sample_weight out and weight the rows in the model's own loss.",
        )
    for name, leaf in leaves(found.sample_weight, "sample_weight"):
        if leaf.dtype.kind not in "iufb":
            raise DataError(
                f"{name} has the dtype {leaf.dtype}.",
                "sample_weight holds one number for each row, or an array of numbers for each output.",
                f"Give {name} as numbers, e.g. np.ones(n).",
            )


def _first_object(leaf: Leaf) -> str:
    """Describe the first value that is not a number; say so if all of them are numbers."""
    for at, value in np.ndenumerate(leaf.values if isinstance(leaf, RaggedArray) else leaf):
        if not isinstance(value, (int, float, np.number, np.bool_)):
            return f"row {at[0]:,} holds {short(value)}"
    return "its numbers are Python objects"
