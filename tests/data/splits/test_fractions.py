"""Parts of the training rows are nested, fair and repeatable, and leave the validation rows alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from autotune.data.rows import Dataset
from autotune.data.splits import Folds, GroupKFold, Holdout, KFold, split, train_on_part

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3], [300, 150, 50, 7]))
TARGETS = np.linspace(0.0, 1.0, 200)
GROUPS = np.arange(len(LABELS)) % 12
FRACTIONS = [0.01, 0.1, 0.2, 0.25, 0.4, 0.7, 0.93, 1.0]
CASES = pytest.mark.parametrize(
    ("folds", "y", "groups"),
    [
        (Holdout(0.2), LABELS, None),
        (KFold(3), LABELS, None),
        (KFold(3), TARGETS, None),
        (GroupKFold(3), LABELS, GROUPS),
    ],
    ids=["holdout", "k folds", "floats", "groups"],
)


def rows(y: np.ndarray, groups: np.ndarray | None = None) -> Dataset:
    return Dataset(np.zeros(len(y)), y, groups=groups)


@CASES
def test_a_smaller_fraction_lies_within_a_larger_one(folds: Folds, y: np.ndarray, groups: np.ndarray | None) -> None:
    whole = split(folds, rows(y, groups), 5)
    parts = [train_on_part(folds, whole, fraction, rows(y, groups), 5) for fraction in FRACTIONS]
    for smaller, larger in pairwise(parts):
        for small, large in zip(smaller, larger, strict=True):
            assert set(small.train) <= set(large.train)
            assert (np.diff(small.train) > 0).all()
            assert small.train.dtype == np.int64
    assert parts[-1] is whole


@CASES
def test_validation_rows_stay_as_they_are(folds: Folds, y: np.ndarray, groups: np.ndarray | None) -> None:
    whole = split(folds, rows(y, groups), 5)
    for part, fold in zip(train_on_part(folds, whole, 0.3, rows(y, groups), 5), whole, strict=True):
        np.testing.assert_array_equal(part.validation, fold.validation)


@CASES
def test_the_seed_chooses_the_rows(folds: Folds, y: np.ndarray, groups: np.ndarray | None) -> None:
    whole = split(folds, rows(y, groups), 5)
    first, again, other = (train_on_part(folds, whole, 0.3, rows(y, groups), seed)[0].train for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_classes_keep_their_proportions_and_each_has_a_row(fraction: float) -> None:
    (fold,) = whole = split(Holdout(0.2), rows(LABELS), 0)
    (part,) = train_on_part(Holdout(0.2), whole, fraction, rows(LABELS), 0)
    counts = np.bincount(LABELS[part.train], minlength=4)
    assert counts.min() >= 1
    assert np.abs(counts - fraction * np.bincount(LABELS[fold.train])).max() < 1.5
    assert len(part.train) == max(4, round(fraction * len(fold.train)))


def test_groups_stay_whole_and_one_is_left() -> None:
    whole = split(GroupKFold(3), rows(LABELS, GROUPS), 0)
    for fraction, n_groups in ((0.01, 1), (0.5, 4), (0.75, 6)):
        for part, fold in zip(
            train_on_part(GroupKFold(3), whole, fraction, rows(LABELS, GROUPS), 0), whole, strict=True
        ):
            kept = np.unique(GROUPS[part.train])
            assert len(kept) == n_groups
            np.testing.assert_array_equal(part.train, fold.train[np.isin(GROUPS[fold.train], kept)])


def test_groups_are_of_no_concern_to_folds_that_do_not_keep_them() -> None:
    whole = split(KFold(3), rows(LABELS), 0)
    with_groups, without = (train_on_part(KFold(3), whole, 0.5, rows(LABELS, groups), 0) for groups in (GROUPS, None))
    np.testing.assert_array_equal(with_groups[0].train, without[0].train)
