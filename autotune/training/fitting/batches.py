"""Batches of rows for Keras, in an order that depends only on a seed and an epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from autotune.data import Dataset


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
    ) -> None:
        super().__init__()
        self._one_hot = np.eye(data.n_classes or 0, dtype=np.float32) if one_hot else None
        self._data = data
        self.batch_size = batch_size
        self.as_column = as_column
        self._pass_seed = pass_seed
        self._epochs_per_pass = epochs_per_pass
        self._rows: npt.NDArray[np.int64]
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Select the rows of `epoch` (from 0) in the order of that epoch; earlier epochs have no influence."""
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

    def __getitem__(self, index: int) -> tuple[Any, npt.NDArray[Any]]:
        return self.group(index, 1)

    def group(self, first: int, count: int) -> tuple[Any, npt.NDArray[Any]]:
        """Return the rows of `count` batches, or of as many as there are, from the batch with the index `first` on."""
        x, y = self._data.take(self._rows[first * self.batch_size : (first + count) * self.batch_size])
        if x.dtype.kind == "U":  # Keras accepts strings only as tensors
            x = keras.ops.convert_to_tensor(x, dtype="string")
        if self.as_column:
            return x, y[:, np.newaxis]
        return x, y if self._one_hot is None else self._one_hot[y]
