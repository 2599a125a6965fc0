"""Holdouts and k folds whose rows are drawn by chance: whole groups, strata in proportion, or any rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset
from autotune.data.splits.folds import GroupKFold, Holdout, KFold, Parts
from autotune.errors import DataError


def drawn_parts(folds: Holdout | KFold | GroupKFold, data: Dataset, seed: int) -> Parts:
    """Return the parts of each fold; see `split`."""
    if isinstance(folds, GroupKFold):
        return _group_parts(folds, data.strata, seed, data.groups)
    if data.strata is not None:
        _check_classes(folds, data.strata)
    _check_size(folds, len(data))
    return _parts(folds, len(data), data.strata, seed)


def _parts(folds: Holdout | KFold, n: int, strata: npt.NDArray[Any] | None, seed: int) -> Parts:
    # Imported here because scikit-learn takes about a second to import and most commands never split.
    from sklearn import model_selection

    stratified = strata is not None
    if isinstance(folds, Holdout):
        shuffle = model_selection.StratifiedShuffleSplit if stratified else model_selection.ShuffleSplit
        splitter = shuffle(n_splits=1, test_size=folds.fraction, random_state=seed)
    else:
        k_fold = model_selection.StratifiedKFold if stratified else model_selection.KFold
        splitter = k_fold(n_splits=folds.k, shuffle=True, random_state=seed)
    parts: Parts = splitter.split(np.zeros(n), strata)
    return parts


def _group_parts(
    folds: GroupKFold, strata: npt.NDArray[Any] | None, seed: int, groups: npt.NDArray[Any] | None
) -> Parts:
    from sklearn import model_selection

    groups = _checked_groups(folds, groups)
    splitter = model_selection.GroupKFold(folds.k, shuffle=True, random_state=seed)
    for train, validation in splitter.split(np.zeros(len(groups)), groups=groups):
        if strata is not None:
            _check_trained(folds, strata, train, validation)
        yield train, validation


def _checked_groups(folds: GroupKFold, groups: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
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
    return groups


def _check_trained(folds: GroupKFold, y: npt.NDArray[Any], train: npt.NDArray[Any], held: npt.NDArray[Any]) -> None:
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
