"""Positions of rows: the `Fold` of one training, the `Split` of a study, and their checks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset
from autotune.data.splits.folds import Folds
from autotune.errors import DataError


@dataclass(frozen=True, eq=False)
class Fold:
    """The rows of one training.

    Args:
        train: Positions to train on, shape (n_train,), int64, sorted.
        validation: Positions to validate on, shape (n_validation,), int64, sorted; none of them in `train`.
    """

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """The development rows and the folds that they are split into.

    Args:
        data: The development rows.
        folds: Positions among them. A fold without validation rows trains on all rows and validates on none.
        digest: The `split_digest` of both.
    """

    data: Dataset
    folds: tuple[Fold, ...]
    digest: str


def split_digest(dataset: Dataset, folds: tuple[Fold, ...]) -> str:
    """Identify the rows that scores were computed on.

    Args:
        dataset: The development rows.
        folds: Positions among them.

    Returns:
        Hex SHA-256 of the dataset's digest and of all positions. Two scores are comparable only if it is equal.
    """
    digest = hashlib.sha256(dataset.digest.encode())
    for fold in folds:
        for positions in (fold.train, fold.validation):
            digest.update(f":{len(positions)}:".encode())
            digest.update(positions.astype("<i8").tobytes())
    return digest.hexdigest()


def check_folds(folds: Folds, found: Sequence[Fold], n: int) -> None:
    if not found:
        raise DataError(f"{folds!r} makes no fold of {n} rows.", "At least one is needed.", "Use other folds.")
    for number, fold in enumerate(found):
        if not len(fold.train) or not len(fold.validation):
            what = "train" if not len(fold.train) else "validate"
            raise DataError(
                f"fold {number} of {folds!r} has no row to {what} on, of {n} rows.",
                "Each part needs at least one row.",
                "Use fewer folds, another fraction, a smaller gap, or more rows.",
            )
        both = np.intersect1d(fold.train, fold.validation)
        if len(both):
            raise overlapping(folds, f"{len(both):,} rows are on both sides of fold {number}, e.g. row {both[0]:,}")
        for rows in (fold.train, fold.validation):
            if len(np.unique(rows)) < len(rows):
                raise overlapping(folds, f"fold {number} has a row twice on one side")


def overlapping(folds: Folds, what: str) -> DataError:
    return DataError(
        f"in {folds!r} {what}.",
        "A row is on one side of a split, and there once; a score on rows that were trained on measures memory.",
        "Leave these rows out of one side.",
    )
