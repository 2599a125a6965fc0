"""Folds are fair, repeatable and never overlap; what cannot be split says why."""

from __future__ import annotations

import numpy as np
import pytest

from autotune.data.rows import Dataset
from autotune.data.splits import Fold, Folds, GroupKFold, Holdout, KFold, split, split_digest, with_k
from autotune.errors import DataError

LABELS = np.repeat([0, 1, 2], [100, 60, 40])
TARGETS = np.linspace(0.0, 1.0, 50)
BOTH = pytest.mark.parametrize("y", [LABELS, TARGETS], ids=["labels", "floats"])
ALL_FOLDS = pytest.mark.parametrize("folds", [Holdout(0.1), Holdout(0.3), KFold(2), KFold(5)], ids=repr)


def rows(y: np.ndarray, groups: np.ndarray | None = None) -> Dataset:
    return Dataset(np.zeros(len(y)), y, groups=groups)


@BOTH
@ALL_FOLDS
def test_every_row_is_in_exactly_one_part_of_a_fold(folds: Folds, y: np.ndarray) -> None:
    for fold in split(folds, rows(y), seed=0):
        np.testing.assert_array_equal(np.sort(np.concatenate([fold.train, fold.validation])), np.arange(len(y)))
        for positions in (fold.train, fold.validation):
            assert positions.dtype == np.int64
            assert (np.diff(positions) > 0).all()


@BOTH
def test_k_folds_validate_each_row_once(y: np.ndarray) -> None:
    folds = split(KFold(4), rows(y), seed=0)
    assert len(folds) == 4
    np.testing.assert_array_equal(np.sort(np.concatenate([f.validation for f in folds])), np.arange(len(y)))


def test_a_holdout_keeps_the_proportions_of_the_classes() -> None:
    (fold,) = split(Holdout(0.1), rows(LABELS), seed=3)
    np.testing.assert_array_equal(np.bincount(LABELS[fold.validation]), [10, 6, 4])


def test_k_folds_keep_the_proportions_of_the_classes() -> None:
    for fold in split(KFold(5), rows(LABELS), seed=3):
        np.testing.assert_array_equal(np.bincount(LABELS[fold.validation]), [20, 12, 8])


@BOTH
@ALL_FOLDS
def test_the_seed_and_nothing_else_chooses_the_rows(folds: Folds, y: np.ndarray) -> None:
    first = split(folds, rows(y), seed=1)[0].validation
    np.random.seed(0)
    np.testing.assert_array_equal(first, split(folds, rows(y), seed=1)[0].validation)
    assert not np.array_equal(first, split(folds, rows(y), seed=2)[0].validation)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 2, float("nan")])
def test_a_fraction_outside_0_to_1_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        Holdout(fraction)


@pytest.mark.parametrize("kind", [KFold, GroupKFold])
@pytest.mark.parametrize("k", [1, 0, -2, 2.5])
def test_fewer_than_two_folds_are_refused(k: int, kind: type[KFold | GroupKFold]) -> None:
    with pytest.raises(DataError, match=rf"{kind.__name__}\({k}\)(.|\n)*at least 2"):
        kind(k)


def test_more_folds_than_rows_of_a_class_name_the_class_and_its_count() -> None:
    with pytest.raises(DataError, match=r"class 7 has 3 row.*KFold\(k=4\)"):
        split(KFold(4), rows(np.repeat([1, 7], [20, 3])), seed=0)


def test_a_holdout_of_a_class_with_one_row_names_the_class() -> None:
    with pytest.raises(DataError, match="class 7 has 1 row"):
        split(Holdout(0.5), rows(np.repeat([1, 7], [20, 1])), seed=0)


@pytest.mark.parametrize(("fraction", "n_validation"), [(0.1, 2), (0.95, 19)])
def test_a_holdout_too_small_for_all_classes_says_which_fraction_would_do(fraction: float, n_validation: int) -> None:
    y = np.repeat([0, 1, 2, 3], 5)
    with pytest.raises(DataError, match=rf"{n_validation} to validate on.*class, 0, has 5") as caught:
        split(Holdout(fraction), rows(y), seed=0)
    assert "Holdout(0.2)" in caught.value.fix
    assert len(split(Holdout(0.2), rows(y), seed=0)[0].validation) == 4


@pytest.mark.parametrize("folds", [KFold(4), Holdout(0.9)], ids=repr)
def test_too_few_float_targets_are_refused(folds: Folds) -> None:
    with pytest.raises(DataError, match="from 3 rows"):
        split(folds, rows(np.array([0.1, 0.2, 0.3])), seed=0)


SPEAKERS = np.repeat(["ann", "bob", "cyd", "dan"], [90, 50, 40, 20])
DIGITS = np.arange(200) % 10


@pytest.mark.parametrize("y", [DIGITS, np.linspace(0.0, 1.0, 200)], ids=["labels", "floats"])
def test_groups_are_kept_together(y: np.ndarray) -> None:
    folds = split(GroupKFold(4), rows(y, SPEAKERS), seed=0)
    held = [set(SPEAKERS[fold.validation]) for fold in folds]
    assert sorted(map(len, held)) == [1, 1, 1, 1]
    assert set.union(*held) == {"ann", "bob", "cyd", "dan"}
    for fold in folds:
        assert not set(SPEAKERS[fold.train]) & set(SPEAKERS[fold.validation])
        assert len(fold.train) + len(fold.validation) == 200


def test_the_seed_chooses_which_groups_are_validated_together() -> None:
    groups = np.repeat(np.arange(20), 10)
    first = split(GroupKFold(4), rows(DIGITS, groups), seed=1)[0].validation
    np.testing.assert_array_equal(first, split(GroupKFold(4), rows(DIGITS, groups), seed=1)[0].validation)
    assert not np.array_equal(first, split(GroupKFold(4), rows(DIGITS, groups), seed=2)[0].validation)


def test_group_folds_of_data_without_groups_say_how_to_give_them() -> None:
    with pytest.raises(DataError, match=r"GroupKFold\(k=5\), but the dataset has no groups") as caught:
        split(GroupKFold(5), rows(DIGITS), seed=0)
    assert "groups=" in caught.value.fix


def test_more_group_folds_than_groups_are_refused() -> None:
    with pytest.raises(DataError, match=r"from 4 group") as caught:
        split(GroupKFold(5), rows(DIGITS, SPEAKERS), seed=0)
    assert "GroupKFold(4)" in caught.value.fix


def test_a_class_that_one_group_alone_has_is_named() -> None:
    y = np.where(SPEAKERS == "dan", 3, np.arange(200) % 3)
    with pytest.raises(DataError, match="class 3 is in one part only"):
        split(GroupKFold(4), rows(y, SPEAKERS), seed=0)


def test_another_number_of_folds_keeps_groups_together() -> None:
    assert with_k(GroupKFold(6), 3) == GroupKFold(3)
    assert with_k(KFold(6), 3) == with_k(Holdout(0.1), 3) == KFold(3)


def test_the_split_digest_tells_data_and_positions_apart() -> None:
    data = Dataset(np.zeros((200, 2)), LABELS)
    folds = split(Holdout(0.1), rows(LABELS), seed=0)
    digest = split_digest(data, folds)
    assert digest == split_digest(data, split(Holdout(0.1), rows(LABELS), seed=0))
    assert digest != split_digest(data, split(Holdout(0.1), rows(LABELS), seed=1))
    assert digest != split_digest(Dataset(np.ones((200, 2)), LABELS), folds)


def test_the_split_digest_tells_training_from_validation_rows() -> None:
    data = Dataset(np.zeros((4, 2)), np.array([0, 1, 0, 1]))
    one, other = np.array([0, 1, 2]), np.array([3])
    assert split_digest(data, (Fold(one, other),)) != split_digest(data, (Fold(other, one),))


def test_of_whole_numbers_that_are_no_labels_it_is_said_how_to_say_so() -> None:
    with pytest.raises(DataError, match=r"class 0 has 1 row(?s:.*)y\.astype\('float32'\)"):
        split(Holdout(0.2), rows(np.arange(30)), seed=0)
