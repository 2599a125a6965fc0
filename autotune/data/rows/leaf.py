"""One array as a user gives it: numbers, strings, or rows of different lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data.rows.nests import Leaf
from autotune.data.rows.ragged import RaggedArray
from autotune.errors import DataError


def read_leaf(name: str, part: Any) -> Leaf:
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


def without_objects(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array of Python strings or bytes as one of NumPy's strings; any other array as it is."""
    if not array.dtype.hasobject or not array.size:
        return array
    if all(isinstance(one, str) for one in array.flat):
        return array.astype(str)
    is_bytes = all(isinstance(one, bytes) for one in array.flat)
    # NumPy's bytes lose zeros at their end.
    return array.astype(bytes) if is_bytes and not any(one.endswith(b"\0") for one in array.flat) else array


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
