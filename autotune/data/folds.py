"""Splits into training and validation rows: one holdout, k folds, or k folds that keep groups together."""

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

_Parts: TypeAlias = Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]  # positions to train and to validate on


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
        _check_k(self, self.k)


@dataclass(frozen=True)
class GroupKFold:
    """Train k times, each time validating on groups that were not trained on, e.g. on other speakers.

    The parts have about the same number of groups; with as many folds as groups each part is one group.

    Args:
        k: Number of parts, at least 2 and at most the number of groups.

    Raises:
        DataError: `k` is smaller than 2 or not an integer.
    """

    k: int = 5

    def __post_init__(self) -> None:
        _check_k(self, self.k)


Folds: TypeAlias = Holdout | KFold | GroupKFold


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


def with_k(folds: Folds, k: int) -> Folds:
    """Return k folds in place of `folds`; a `GroupKFold` stays a `GroupKFold`.

    Raises:
        DataError: `k` is smaller than 2.
    """
    return GroupKFold(k) if isinstance(folds, GroupKFold) else KFold(k)


def split(folds: Folds, y: npt.NDArray[Any], seed: int, groups: npt.NDArray[Any] | None = None) -> tuple[Fold, ...]:
    """Divide rows into training and validation rows.

    Args:
        folds: One holdout or k folds.
        y: Targets, shape (n,). Integer labels are stratified (each part has the classes in the same
            proportions, unless groups are kept together); float targets are shuffled only.
        seed: The study seed; the same seed gives the same folds.
        groups: The group of each row, shape (n,); `GroupKFold` needs it, the others ignore it.

    Returns:
        One fold for a holdout, k for k folds. Over k folds each row is validated exactly once.

    Raises:
        DataError: There are too few rows, too few of one class, or too few groups.

    Example:
        >>> import numpy as np
        >>> fold, = split(Holdout(0.5), np.array([0, 0, 1, 1]), seed=0)
        >>> len(fold.train), len(fold.validation)
        (2, 2)
    """
    seed = derive_seed(seed, "split")
    if isinstance(folds, GroupKFold):
        parts = _group_parts(folds, y, seed, groups)
    else:
        if np.issubdtype(y.dtype, np.integer):
            _check_classes(folds, y)
        _check_size(folds, len(y))
        parts = _parts(folds, y, seed)
    return tuple(Fold(_sorted(train), _sorted(validation)) for train, validation in parts)


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


def _parts(folds: Holdout | KFold, y: npt.NDArray[Any], seed: int) -> _Parts:
    # Imported here because scikit-learn takes about a second to import and most commands never split.
    from sklearn import model_selection

    stratified = np.issubdtype(y.dtype, np.integer)
    if isinstance(folds, Holdout):
        shuffle = model_selection.StratifiedShuffleSplit if stratified else model_selection.ShuffleSplit
        splitter = shuffle(n_splits=1, test_size=folds.fraction, random_state=seed)
    else:
        k_fold = model_selection.StratifiedKFold if stratified else model_selection.KFold
        splitter = k_fold(n_splits=folds.k, shuffle=True, random_state=seed)
    parts: _Parts = splitter.split(np.zeros(len(y)), y)
    return parts


def _group_parts(folds: GroupKFold, y: npt.NDArray[Any], seed: int, groups: npt.NDArray[Any] | None) -> _Parts:
    from sklearn import model_selection

    _check_groups(folds, groups)
    splitter = model_selection.GroupKFold(folds.k, shuffle=True, random_state=seed)
    for train, validation in splitter.split(np.zeros(len(y)), y, groups):
        _check_trained(folds, y, train, validation)
        yield train, validation


def _check_k(folds: KFold | GroupKFold, k: object) -> None:
    if not isinstance(k, int) or k < 2:
        raise DataError(
            f"the folds are {type(folds).__name__}({k!r}).",
            "The number of folds is an integer of at least 2.",
            f"Use e.g. {type(folds).__name__}(5), or Holdout(0.1) to train once.",
        )


def _check_groups(folds: GroupKFold, groups: npt.NDArray[Any] | None) -> None:
    if groups is None:
        raise DataError(
            f"the folds are {folds!r}, but the dataset has no groups.",
            "GroupKFold needs groups: which rows belong together, e.g. those of one speaker.",
            "Give them with Dataset(x, y, groups=...), or use KFold.",
        )
    if (n_groups := len(np.unique(groups))) < folds.k:
        raise DataError(
            f"{folds!r} cannot be made from {n_groups} group(s).",
            "Each part needs at least one group.",
            f"Use at most GroupKFold({n_groups})." if n_groups > 1 else "Use KFold, or data with more groups.",
        )


def _check_trained(folds: GroupKFold, y: npt.NDArray[Any], train: npt.NDArray[Any], held: npt.NDArray[Any]) -> None:
    if not np.issubdtype(y.dtype, np.integer):
        return
    if len(unseen := np.setdiff1d(y[held], y[train])):
        raise DataError(
            f"in {folds!r} class {unseen[0]} is in one part only.",
            "Every class to validate on must also be among the training rows.",
            f"Use fewer folds, leave class {unseen[0]} out, or use KFold.",
        )


def _check_classes(folds: Holdout | KFold, y: npt.NDArray[Any]) -> None:
    labels, counts = np.unique(y, return_counts=True)
    if len(labels) == 0:
        return
    rarest = int(np.argmin(counts))
    needed = folds.k if isinstance(folds, KFold) else 2
    if counts[rarest] < needed:
        raise DataError(
            f"class {labels[rarest]} has {counts[rarest]} row(s), too few for {folds!r}.",
            f"Every class needs at least {needed} rows, so that each part gets one.",
            f"Add rows of class {labels[rarest]}, leave that class out, or use fewer folds.\n"
            "If y holds numbers to predict, not labels: y.astype('float32').",
        )
    n_train, n_validation = _holdout_sizes(folds, len(y))
    if min(n_train, n_validation) < len(labels):
        raise DataError(
            f"{folds!r} of {len(y)} rows leaves {n_train} to train on and {n_validation} to validate on; "
            f"the smallest class, {labels[rarest]}, has {counts[rarest]} rows.",
            f"Both parts need at least one row for each of the {len(labels)} classes.",
            f"Use Holdout({_fair_fraction(len(labels), len(y))}), KFold(2), or more rows.",
        )


def _check_size(folds: Holdout | KFold, n: int) -> None:
    n_train, n_validation = _holdout_sizes(folds, n)
    if n_train < 1 or n_validation < 1 or (isinstance(folds, KFold) and folds.k > n):
        raise DataError(
            f"{folds!r} cannot be made from {n} rows.",
            "Each part needs at least one row.",
            "Use fewer folds, another fraction, or more rows.",
        )


def _holdout_sizes(folds: Holdout | KFold, n: int) -> tuple[int, int]:
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
