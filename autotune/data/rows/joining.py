"""Two datasets as one: the rows of the first, then those of the second."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data.rows.dataset import Dataset
from autotune.data.rows.nests import Arrays, Leaf, shape_of
from autotune.data.rows.ragged import RaggedArray
from autotune.errors import DataError


def join(first: Dataset, second: Dataset) -> Dataset:
    """Return a dataset in memory of the rows of two datasets that have the same structure.

    It has the name and the settings of the first one.

    Raises:
        DataError: The structures differ, or rows are read from a source each time.
    """
    if first.is_read_each_time or second.is_read_each_time:
        raise DataError(
            "rows that are read from a source each time (cache=False) cannot join other rows.",
            "Rows to validate on may be given as a dataset only if all rows are arrays or cached.",
            "Leave cache=False out, or give positions: Given(np.arange(first, last)).",
        )
    own, others = (Arrays(one.x, one.y, one.sample_weight) for one in (first, second))
    if own.structure(_form) != others.structure(_form):
        raise DataError(
            f"rows of the shape {second.input_shape} and targets {second.target_shape} cannot join rows of the shape "
            f"{first.input_shape} and targets {first.target_shape}.",
            "Both have the same structure of inputs, targets and weights, and the same shapes and kinds.",
            "Make both by the same function.",
        )
    by_name = dict(others.leaves())
    arrays = Arrays.of_structure(
        own.structure(lambda name, leaf: {"leaf": _joined(leaf, by_name[name])}), lambda form: form["leaf"]
    )
    counts = [count for count in (first.n_classes, second.n_classes) if count is not None]
    return Dataset(
        arrays.x,
        arrays.y,
        sample_weight=arrays.sample_weight,
        name=first.name,
        n_classes=max(counts, default=None),
        allow_nan=first.allow_nan,
        feature_names=first.feature_names,
        groups=_both(first.groups, second.groups),
        stratify=_both(first.stratify, second.stratify),
    )


def _form(name: str, leaf: Leaf) -> Any:
    kind = leaf.dtype.kind
    return [name, shape_of(leaf), kind if kind in "US" else leaf.dtype.str]


def _joined(one: Leaf, two: Leaf) -> Leaf:
    if isinstance(one, RaggedArray) and isinstance(two, RaggedArray):
        return RaggedArray(
            np.concatenate([one.values, two.values]), np.concatenate([one.starts, two.starts[1:] + one.starts[-1]])
        )
    return np.concatenate([np.asarray(one), np.asarray(two)])


def _both(one: npt.NDArray[Any] | None, two: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
    return None if one is None or two is None else np.concatenate([one, two])
