"""Folds that train on a fraction of their rows: nested fractions, with the classes in proportion."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset
from autotune.data.splits.folds import Folds, is_in_time
from autotune.data.splits.positions import Fold
from autotune.seeds import derive_seed


def train_on_part(
    folds: Folds,
    parts: tuple[Fold, ...],
    fraction: float,
    data: Dataset,
    seed: int,
) -> tuple[Fold, ...]:
    """Reduce the training rows of each fold to a fraction; validation rows stay as they are.

    Args:
        folds: The declared folds; those that keep groups whole do so here too, and those in order of time keep the
            newest rows.
        parts: The folds that `split` returned for them.
        fraction: Share of each fold's training rows, or of its groups, in (0, 1]; 1 changes nothing.
        data: The rows. Strata keep their proportions, with at least one row of each, unless groups are kept together.
        seed: The same seed gives the same rows; the rows of a smaller fraction are a subset of those of a larger one.

    Example:
        >>> import numpy as np
        >>> from autotune.data.splits import GroupKFold
        >>> fold = Fold(np.arange(8), np.arange(8, 10))
        >>> data = Dataset(np.zeros(10), np.zeros(10), groups=np.arange(10) // 4)
        >>> (half,) = train_on_part(GroupKFold(2), (fold,), 0.5, data, seed=0)
        >>> len(half.train), len(half.validation)
        (4, 2)
    """
    if fraction == 1:
        return parts
    reduced = []
    for number, fold in enumerate(parts):
        rng = np.random.default_rng(derive_seed(seed, "fraction", number))
        if is_in_time(folds):  # the newest ones: a shorter history
            n = len(fold.train)
            kept = np.arange(n - max(1, round(fraction * n)), n)
        elif "Group" in type(folds).__name__ and data.groups is not None:
            kept = _whole_groups(data.groups[fold.train], fraction, rng)
        else:
            strata = np.zeros(len(data), np.int64) if data.strata is None else data.strata
            kept = _in_proportion(strata[fold.train], fraction, rng)
        reduced.append(Fold(fold.train[kept], fold.validation))
    return tuple(reduced)


def _whole_groups(groups: npt.NDArray[Any], fraction: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the sorted positions of the rows of a fraction of the groups, at least of one group."""
    order = rng.permutation(np.unique(groups))
    chosen = order[: max(1, round(fraction * len(order)))]
    return np.flatnonzero(np.isin(groups, chosen))


def _in_proportion(labels: npt.NDArray[Any], fraction: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the sorted positions of the first rows of an order in which every prefix has the classes in proportion.

    The order sorts the row of rank i in its class of n rows by (i + 1/2) / n: Webster's method of apportionment, in
    which a class never gets fewer rows when the total grows. The first row of each class comes first.
    """
    shuffled = rng.permutation(len(labels))
    place = np.empty(len(labels))
    classes = np.unique(labels)
    for label in classes:
        rows = shuffled[labels[shuffled] == label]
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
        place[rows[0]] = 0.0
    order = shuffled[np.argsort(place[shuffled], kind="stable")]
    return np.sort(order[: max(len(classes), round(fraction * len(labels)))])
