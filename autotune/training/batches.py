"""Rows for Keras, in an order that comes from a seed and an epoch alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from autotune.data import Dataset


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # reason: Keras ships no types
    """A dataset cut into batches, gathered by index from the (memory-mapped) arrays.

    Args:
        data: The rows.
        batch_size: Rows a batch, at least 1; the last batch may be smaller.
        one_hot: Whether labels are given as float32 of shape (b, n_classes): 1 for the class, 0 for the others.
        epoch_seed: From an epoch (counted from 0) to the seed of its order; None keeps the rows in their order.
    """

    def __init__(
        self, data: Dataset, batch_size: int, *, one_hot: bool = False, epoch_seed: Callable[[int], int] | None = None
    ) -> None:
        super().__init__()
        self._one_hot = np.eye(data.n_classes or 0, dtype=np.float32) if one_hot else None
        self._data = data
        self._batch_size = batch_size
        self._epoch_seed = epoch_seed
        self._order: npt.NDArray[np.int64] = np.arange(len(data))

    def start_epoch(self, epoch: int) -> None:
        """Put the rows in the order of `epoch`, whatever was trained before."""
        if self._epoch_seed is not None:
            self._order = np.random.default_rng(self._epoch_seed(epoch)).permutation(len(self._data))

    def __len__(self) -> int:
        return -(-len(self._data) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[Any, npt.NDArray[Any]]:
        x, y = self._data.take(self._order[index * self._batch_size : (index + 1) * self._batch_size])
        if x.dtype.kind == "U":  # Keras takes strings as tensors only
            x = keras.ops.convert_to_tensor(x, dtype="string")
        return x, y if self._one_hot is None else self._one_hot[y]
