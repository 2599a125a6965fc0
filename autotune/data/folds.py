"""Who trains on which rows: one holdout, or k folds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.data.dataset import Dataset
from autotune.errors import DataError
from autotune.seeds import derive_seed


@dataclass(frozen=True)
class Holdout:
    """Validate on one part of the development rows and train on the rest.

    Args:
        fraction: Share of the rows to validate on, in (0, 1).

    Raises:
        DataError: `fraction` is outside that range.
    """

    fraction: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise DataError(
                f"the folds are Holdout({self.fraction!r}).",
                "The fraction is the share of the rows to validate on, between 0 and 1, both excluded.",
                "Use e.g. Holdout(0.1).",
            )


@dataclass(frozen=True)
class KFold:
    """Train k times, each time validating on another of k equal parts.

    Args:
        k: Number of parts, at least 2.

    Raises:
        DataError: `k` is smaller than 2 or not an integer.
    """

    k: int = 5

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 2:
            raise DataError(
                f"the folds are KFold({self.k!r}).",
                "The number of folds is an integer of at least 2.",
                "Use e.g. KFold(5), or Holdout(0.1) to train once.",
            )


Folds: TypeAlias = Holdout | KFold


@dataclass(frozen=True, eq=False)
class Fold:
    """The rows of one training.

    Args:
        train: Positions to train on, shape (n_train,), int64, sorted.
        validation: Positions to validate on, shape (n_validation,), int64, sorted; none of them in `train`.
    """

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]


def split(folds: Folds, y: npt.NDArray[Any], seed: int) -> tuple[Fold, ...]:
    """Divide rows into training and validation rows.

    Args:
        folds: One holdout or k folds.
        y: Targets, shape (n,). Integer labels are stratified (each part has the classes in the same
            proportions); float targets are shuffled only.
        seed: The study seed; the same seed gives the same folds.

    Returns:
        One fold for a holdout, k for k folds. Over k folds each row is validated exactly once.

    Raises:
        DataError: There are too few rows, or too few of one class.

    Example:
        >>> import numpy as np
        >>> fold, = split(Holdout(0.5), np.array([0, 0, 1, 1]), seed=0)
        >>> len(fold.train), len(fold.validation)
        (2, 2)
    """
    if np.issubdtype(y.dtype, np.integer):
        _check_classes(folds, y)
    _check_size(folds, len(y))
    parts = _parts(folds, y, derive_seed(seed, "split"))
    return tuple(Fold(_sorted(train), _sorted(validation)) for train, validation in parts)


def split_digest(dataset: Dataset, folds: tuple[Fold, ...]) -> str:
    """Identify the rows that scores were computed on.

    Args:
        dataset: The development rows.
        folds: Positions among them.

    Returns:
        Hex SHA-256 of the dataset's digest and of all positions: scores compare only where it is equal.
    """
    digest = hashlib.sha256(dataset.digest.encode())
    for fold in folds:
        for positions in (fold.train, fold.validation):
            digest.update(f":{len(positions)}:".encode())
            digest.update(positions.astype("<i8").tobytes())
    return digest.hexdigest()


def _parts(folds: Folds, y: npt.NDArray[Any], seed: int) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    # Imported here because scikit-learn takes about a second to import and most commands never split.
    from sklearn import model_selection

    stratified = np.issubdtype(y.dtype, np.integer)
    if isinstance(folds, Holdout):
        shuffle = model_selection.StratifiedShuffleSplit if stratified else model_selection.ShuffleSplit
        splitter = shuffle(n_splits=1, test_size=folds.fraction, random_state=seed)
    else:
        k_fold = model_selection.StratifiedKFold if stratified else model_selection.KFold
        splitter = k_fold(n_splits=folds.k, shuffle=True, random_state=seed)
    parts: Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]] = splitter.split(np.zeros(len(y)), y)
    return parts


def _check_classes(folds: Folds, y: npt.NDArray[Any]) -> None:
    labels, counts = np.unique(y, return_counts=True)
    if len(labels) == 0:
        return
    rarest = int(np.argmin(counts))
    needed = folds.k if isinstance(folds, KFold) else 2
    if counts[rarest] < needed:
        raise DataError(
            f"class {labels[rarest]} has {counts[rarest]} row(s), too few for {folds!r}.",
            f"Every class needs at least {needed} rows, so that each part can have its share.",
            f"Add rows of class {labels[rarest]}, leave that class out, or use fewer folds.",
        )
    n_train, n_validation = _holdout_sizes(folds, len(y))
    if min(n_train, n_validation) < len(labels):
        raise DataError(
            f"{folds!r} of {len(y)} rows leaves {n_train} to train on and {n_validation} to validate on; "
            f"the smallest class, {labels[rarest]}, has {counts[rarest]} rows.",
            f"Both parts need at least one row for each of the {len(labels)} classes.",
            f"Use Holdout({_fair_fraction(len(labels), len(y))}), KFold(2), or more rows.",
        )


def _check_size(folds: Folds, n: int) -> None:
    n_train, n_validation = _holdout_sizes(folds, n)
    if n_train < 1 or n_validation < 1 or (isinstance(folds, KFold) and folds.k > n):
        raise DataError(
            f"{folds!r} cannot be made from {n} rows.",
            "Each part needs at least one row.",
            "Use fewer folds, another fraction, or more rows.",
        )


def _holdout_sizes(folds: Folds, n: int) -> tuple[int, int]:
    """Return (n_train, n_validation) as scikit-learn rounds them; (n, n) for k folds."""
    if isinstance(folds, KFold):
        return n, n
    n_validation = int(np.ceil(folds.fraction * n))
    return n - n_validation, n_validation


def _fair_fraction(n_classes: int, n: int) -> float:
    # One row per class at least, rounded up to two digits, and never more than half.
    return min(0.5, float(np.ceil(100 * n_classes / n)) / 100)


def _sorted(positions: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.sort(positions).astype(np.int64)
