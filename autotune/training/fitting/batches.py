"""Batches of rows for Keras, in an order that depends only on a seed and an epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from autotune.data.rows import Arrays, Dataset, RaggedArray, padded

KERAS_BATCH_SIZE = 32  # of `fit`, if none is given
# Rows that are measured at one time. Larger batches are no faster on a CPU: 3,000 rows of MNIST take 0.25 s of CPU time
# with 512 or with 3,000 rows per batch, and 0.45 s with 32. Another size would change the last bits of the metrics.
_MEASURED_ROWS = 512
_MEASURED_BYTES = 2**26  # larger rows are measured in smaller batches
_MOST_MAPPED_BYTES = 2**28  # of rows that are read before mapped pages are released; random rows touch more pages


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # reason: Keras ships no types
    """A dataset in batches, which are read by index from the (memory-mapped) arrays.

    Args:
        data: The rows.
        batch_size: Rows per batch, at least 1; the last batch of an epoch may be smaller.
        one_hot: Whether labels are given as float32 of shape (b, n_classes): 1 for the class, 0 for the others.
        pass_seed: The function from the number of a pass through the rows (from 0) to the seed of its order. None to
            keep the rows in order.
        epochs_per_pass: Number of epochs for one pass through the rows, at least 1. Each epoch has equally many rows.
            If the rows cannot be divided equally, the last epoch of a pass repeats some rows of the epochs before.
        as_column: The first value of the attribute.
        change: Changes a batch, given the numbers of its epoch and of itself in the epoch; None to change nothing.

    Attributes:
        batch_size: Rows per batch.
        as_column: Whether targets are given as a column, of shape (b, 1).
    """

    def __init__(
        self,
        data: Dataset,
        batch_size: int,
        *,
        one_hot: bool = False,
        pass_seed: Callable[[int], int] | None = None,
        epochs_per_pass: int = 1,
        as_column: bool = False,
        change: Callable[[tuple[Any, ...], int, int], tuple[Any, ...]] | None = None,
    ) -> None:
        super().__init__()
        self._one_hot = np.eye(data.n_classes or 0, dtype=np.float32) if one_hot else None
        self._data = data
        self.batch_size = batch_size
        self.as_column = as_column
        self._pass_seed = pass_seed
        self._epochs_per_pass = epochs_per_pass
        self._change = change
        self._read_bytes = 0  # since mapped pages were released
        self._rows: npt.NDArray[np.int64]
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Select the rows of `epoch` (from 0) in the order of that epoch; earlier epochs have no influence."""
        self._epoch = epoch
        passes, part = divmod(epoch, self._epochs_per_pass)
        n = len(self._data)
        if self._pass_seed is None:
            order = np.arange(n)
        else:
            order = np.random.default_rng(self._pass_seed(passes)).permutation(n)
        size = -(-n // self._epochs_per_pass)
        begin = min(part * size, n - size)
        self._rows = order[begin : begin + size]

    def __len__(self) -> int:
        return -(-len(self._rows) // self.batch_size)

    @property
    def batch_bytes(self) -> int:
        """Bytes of the rows of one batch, in the dtype of the dataset."""
        return self.batch_size * self._data.row_bytes

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self.group(index, 1)

    def group(self, first: int, count: int) -> tuple[Any, ...]:
        """Return the rows of `count` batches, or of as many as there are, from the batch with the index `first` on.

        Returns:
            (x,), (x, y) or (x, y, sample_weight), as `keras.Model.fit` takes them.
        """
        if self._change is None:
            found = self._batch(first, count)
        else:
            changed = [self._change(self._batch(at, 1), self._epoch, at) for at in self._numbers(first, count)]
            found = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *changed)
        return _as_keras_takes(found)

    def _numbers(self, first: int, count: int) -> range:
        return range(first, min(first + count, len(self)))

    @property
    def is_ragged(self) -> bool:
        """Whether batches are padded, so that their shapes differ."""
        return self._data.is_ragged

    def keeps_rows(self) -> bool:
        """Tell whether a changed batch has as many rows as before."""
        return self._change is None or len(keras.tree.flatten(self[0])[0]) == min(self.batch_size, len(self._rows))

    def for_keras(self) -> Any:
        """Return what `fit`, `evaluate` and `predict` take.

        Keras would take the lengths of the first two batches for those of all.
        """
        if not self.is_ragged:
            return self
        import tensorflow as tf

        def spec(leaf: Any, is_ragged: bool) -> Any:
            return tf.TensorSpec((None, None, *leaf.shape[2:]) if is_ragged else (None, *leaf.shape[1:]), leaf.dtype)

        ragged = self._arrays(0, 1).map(lambda leaf: isinstance(leaf, RaggedArray)).packed()
        rows = tf.data.Dataset.from_generator(
            lambda: (self[index] for index in range(len(self))),
            output_signature=keras.tree.map_structure(spec, in_tensors(self[0]), ragged),
        )
        return rows.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(1)

    def _batch(self, first: int, count: int) -> tuple[Any, ...]:
        return self._arrays(first, count).map(padded).packed()

    def _arrays(self, first: int, count: int) -> Arrays:
        rows = self._data.arrays_at(self._rows[first * self.batch_size : (first + count) * self.batch_size])
        self._read_bytes += count * self.batch_bytes
        if self._read_bytes > _MOST_MAPPED_BYTES:
            self._data.release()
            self._read_bytes = 0
        if self._one_hot is not None:
            return dataclasses.replace(rows, y=self._one_hot[rows.y.reshape(-1)])
        return dataclasses.replace(rows, y=rows.y[:, np.newaxis]) if self.as_column else rows


def fixed_batch_size(model: keras.Model) -> int | None:
    """Return the only batch size that a model takes, as one with stateful recurrent layers; None if it takes any."""
    sizes = [tensor.shape[0] for tensor in keras.tree.flatten(getattr(model, "inputs", None) or [])]
    return next((size for size in sizes if size is not None), None)


def rows_at_a_time(model: keras.Model, rows: Dataset) -> int:
    """Return the number of rows of a batch that a model is measured on."""
    return fixed_batch_size(model) or max(1, min(_MEASURED_ROWS, _MEASURED_BYTES // max(1, rows.row_bytes)))


def in_tensors(batch: Any) -> Any:
    """Return a batch, or another nest of arrays, as tensors."""
    return keras.tree.map_structure(keras.ops.convert_to_tensor, batch)


def first_rows(batch: Any, n: int) -> Any:
    """Return the first n rows of a batch, or of another nest of arrays."""
    return keras.tree.map_structure(lambda leaf: leaf[:n], batch)


def _as_keras_takes(batch: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a batch with texts in tensors, as Keras accepts no others; it calls no model with tensors and arrays."""
    is_text = keras.tree.map_structure(lambda array: array.dtype.kind in "US", batch)
    if not any(keras.tree.flatten(is_text)):
        return batch

    def tensor(array: npt.NDArray[Any], is_text: bool) -> Any:
        return keras.ops.convert_to_tensor(array, dtype="string" if is_text else None)

    return keras.tree.map_structure(tensor, batch, is_text)  # type: ignore[no-any-return]  # reason: Keras ships no types
