"""Split rows into training and validation rows.

What is covered: every splitter of scikit-learn, or of the same form. One with a `random_state` gets a seed of the study
if its own is None, and another seed for each repeat.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset
from autotune.data.splits.drawn import drawn_parts
from autotune.data.splits.folds import Folds, Given, GroupKFold, Holdout, KFold, Latest, Parts, draws, is_in_time
from autotune.data.splits.given import given_parts, positions_of
from autotune.data.splits.positions import Fold, check_folds
from autotune.errors import DataError
from autotune.failures import summary_of
from autotune.seeds import derive_seed


def split(folds: Folds, data: Dataset, seed: int, moves: int = 0, most_moves: int = 1) -> tuple[Fold, ...]:
    """Divide rows into training and validation rows.

    Args:
        folds: The folds; see `with_given_rows` for given functions.
        data: The rows. If they have strata (labels, or those given as `stratify`), `Holdout` and `KFold` keep these in
            the same proportions in each part; otherwise rows are shuffled only. Splitters of scikit-learn get the
            strata as y, and the groups.
        seed: The study seed; the same seed gives the same folds.
        moves: How many times folds in order of time are moved back, each time by the rows to validate on, or by less so
            that half of the training rows remain after all moves. Other folds ignore it.
        most_moves: The number of all moves, at least 1.

    Returns:
        One fold for each training. Over k folds of `KFold` and `GroupKFold` each row is validated exactly once.

    Raises:
        DataError: There are too few rows, too few of one class, too few groups, or rows that are in both parts.

    Example:
        >>> import numpy as np
        >>> fold, = split(Holdout(0.5), Dataset(np.zeros(4), np.array([0, 0, 1, 1])), seed=0)
        >>> len(fold.train), len(fold.validation)
        (2, 2)
    """
    seed = derive_seed(seed, "split")
    parts: Parts
    if isinstance(folds, (Holdout, KFold, GroupKFold)):
        parts = drawn_parts(folds, data, seed)
    elif isinstance(folds, Latest):
        parts = _moved(lambda n: [_latest(folds, n, data.overlap)], len(data), moves, most_moves)
    elif isinstance(folds, Given):
        parts = given_parts(folds, len(data))
    elif is_in_time(folds):
        parts = _moved(lambda n: _of_splitter(folds, data, n), len(data), moves, most_moves)
    else:
        parts = _of_splitter(_seeded(folds, seed), data, len(data))
    found = tuple(Fold(_sorted(train), _sorted(validation)) for train, validation in parts)
    if not isinstance(folds, (Holdout, KFold, GroupKFold)):
        check_folds(folds, found, len(data))
    return found


def _latest(folds: Latest, n: int, overlap: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    first = n - math.ceil(folds.fraction * n)
    return np.arange(max(0, first - (overlap if folds.gap is None else folds.gap))), np.arange(first, n)


def _moved(parts_of: Callable[[int], Parts], n: int, moves: int, most_moves: int) -> Parts:
    """Return the folds of the oldest rows; see `split`."""
    whole = [*parts_of(n)]
    if not moves or not whole:
        return whole
    half = len(whole[0][0]) // 2
    step = max(1, min(len(whole[-1][1]), half // most_moves))
    return parts_of(n - min(half, moves * step))


def _of_splitter(folds: Any, data: Dataset, n: int) -> Parts:
    strata = np.zeros(n) if data.strata is None else data.strata[:n]
    groups = None if data.groups is None else data.groups[:n]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The groups parameter is ignored")
            parts = [(train, validation) for train, validation in folds.split(np.zeros(n), strata, groups)]
    except Exception as error:
        raise DataError(
            f"{folds!r} cannot split {n} rows: {summary_of(error)}",
            "A splitter gets the rows, their strata (labels, or Dataset(stratify=...)) and their groups.",
            "Give it other settings, or the dataset what it needs: Dataset(x, y, groups=...).",
        ) from error
    return [(positions_of(folds, train, n), positions_of(folds, validation, n)) for train, validation in parts]


def _seeded(folds: Any, seed: int) -> Any:
    """Return a splitter that draws rows with this seed, unless it has a seed of its own."""
    if not draws(folds) or folds.random_state is not None:
        return folds
    seeded = copy.deepcopy(folds)
    seeded.random_state = seed
    return seeded


def _sorted(positions: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.sort(positions).astype(np.int64)
