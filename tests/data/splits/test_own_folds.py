"""Splits in time, given rows and splitters of scikit-learn are checked, repeatable, and redrawn where that is fair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import model_selection

from autotune.data.rows import Dataset
from autotune.data.splits import (
    Fold,
    Folds,
    Given,
    Holdout,
    KFold,
    Latest,
    design_of,
    find_leaks,
    redrawn,
    split,
    train_on_part,
    with_given_rows,
    with_k,
)
from autotune.errors import DataError

N = 40
DATA = Dataset(np.arange(N), np.arange(N) % 2, groups=np.arange(N) // 5)


def positions(fold: Fold) -> tuple[list[int], list[int]]:
    return fold.train.tolist(), fold.validation.tolist()


def test_the_newest_rows_are_validated_on_and_a_gap_is_left_out() -> None:
    (part,) = split(Latest(0.251), DATA, seed=5)
    assert len(part.validation) == len(DATA) // 4 + 1  # at least that part
    (fold,) = split(Latest(0.25, gap=3), DATA, seed=5)
    assert positions(fold) == ([*range(27)], [*range(30, 40)])


def test_a_split_in_time_is_moved_back_for_each_repeat_and_never_shuffled() -> None:
    ends = []
    for repeat in range(1, 6):
        (fold,) = split(Latest(0.1, gap=1), DATA, seed=repeat, moves=repeat, most_moves=5)
        train, held = positions(fold)
        assert train == [*range(len(train))]
        assert held == [*range(len(train) + 1, len(train) + 1 + len(held))]
        ends.append(held[-1])
    assert ends == [36, 33, 30, 27, 24]
    (last,) = split(Latest(0.1), DATA, seed=0, moves=50, most_moves=50)
    assert len(last.train) >= 18


def test_splits_in_time_of_scikit_learn_are_moved_too() -> None:
    folds = model_selection.TimeSeriesSplit(3, test_size=4, gap=2)
    whole, moved = split(folds, DATA, 0), split(folds, DATA, 0, moves=2, most_moves=2)
    assert [positions(fold)[1] for fold in whole] == [[28, 29, 30, 31], [32, 33, 34, 35], [36, 37, 38, 39]]
    assert [fold.validation[0] for fold in moved] == [20, 24, 28]
    assert all(fold.train[-1] == fold.validation[0] - 3 for fold in moved)


@pytest.mark.parametrize(
    ("validation", "found"),
    [
        ([38, 39], [[38, 39]]),
        (np.arange(N) >= 38, [[38, 39]]),
        ([[0, 1], [2, 3]], [[0, 1], [2, 3]]),
        ([np.arange(N) < 2, np.arange(N) == 7], [[0, 1], [7]]),
        (lambda data: np.flatnonzero(data.x >= 38), [[38, 39]]),
    ],
)
def test_given_rows_are_validated_on_and_all_others_trained_on(validation: Any, found: list[list[int]]) -> None:
    folds, data = with_given_rows(Given(validation), DATA)
    assert data is DATA
    for fold, held in zip(split(folds, DATA, 3), found, strict=True):
        assert positions(fold) == ([row for row in range(N) if row not in held], held)


def test_rows_to_train_on_can_be_given_too() -> None:
    (fold,) = split(Given([38, 39], train=np.arange(N) < 10), DATA, 0)
    assert positions(fold) == ([*range(10)], [38, 39])


def test_an_error_of_a_given_function_is_told_in_three_lines() -> None:
    def of_2025(data: Dataset) -> Any:
        return data.x["year"] == 2025

    for folds in (Given(of_2025), Given(lambda: [1, 2], of_2025), Given([1, 2], of_2025)):
        with pytest.raises(DataError, match=r"(?s)Given stopped with IndexError.*test_own_folds.py"):
            with_given_rows(folds, DATA)


def test_another_dataset_can_be_validated_on() -> None:
    more = Dataset({"a": np.array([7, 8]), "t": [np.arange(3), np.arange(1)]}, np.array([0, 3]), sample_weight=[1, 2])
    data = Dataset({"a": np.array([1, 2, 3]), "t": [[1], [2, 3], [4]]}, np.array([0, 1, 1]), sample_weight=[3, 4, 5])
    folds, joined = with_given_rows(Given(lambda: more), data)
    (fold,) = split(folds, joined, 0)
    assert positions(fold) == ([0, 1, 2], [3, 4])
    assert joined.n_classes == 4
    held = joined.subset(fold.validation)
    assert held.x["a"].tolist() == [7, 8]
    assert held.x["t"].padded().tolist() == [[0, 1, 2], [0, 0, 0]]
    assert held.sample_weight.tolist() == [1, 2]
    with pytest.raises(DataError, match="cannot join"):
        with_given_rows(Given(lambda: DATA), data)


@pytest.mark.parametrize(
    ("folds", "happened"),
    [
        (Given([3, 3]), "row 3 is given twice"),
        (Given([[1, 2], [2, 3]]), "row 2 is given twice"),
        (Given([1, 2], train=[2, 3]), "1 rows are on both sides of fold 0, e.g. row 2"),
        (Given([1, 2], train=[4, 4]), "a row twice on one side"),
        (Given([40]), "no choice of rows"),
        (Given([]), "no choice of rows"),
        (Given(np.ones(3, bool)), "no choice of rows"),
        (Given([0.5]), "no choice of rows"),
        (Given(np.arange(N)), "no row to train on"),
        (Given([[1], [2], [3]], train=[[4], [5]]), "3 arrays to validate on and 2 to train on"),
        (Latest(0.9, gap=10), "no row to train on"),
        (model_selection.TimeSeriesSplit(50), "cannot split 40 rows"),
        (model_selection.LeaveOneGroupOut(), None),
    ],
)
def test_rows_that_cannot_be_split_so_are_named(folds: Folds, happened: str | None) -> None:
    if happened is None:
        assert len(split(folds, DATA, 0)) == 8
        with pytest.raises(DataError, match="groups"):
            split(folds, Dataset(np.zeros(9), np.zeros(9)), 0)
        return
    with pytest.raises(DataError, match=happened):
        split(folds, DATA, 0)


@pytest.mark.parametrize("given", [(0.0,), (1.0,), (0.5, -1), (0.5, 2.5), (0.5, True)])
def test_a_share_or_gap_out_of_range_is_refused(given: Any) -> None:
    with pytest.raises(DataError, match="Latest"):
        Latest(*given)


class Halves:
    """A splitter of one's own."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        yield np.arange(len(X) // 2), np.arange(len(X) // 2, len(X))


@pytest.mark.parametrize(
    ("folds", "count", "repeats", "groups"),
    [
        (Holdout(0.2), 1, "drawn", None),
        (KFold(4), 4, "drawn", None),
        (Latest(0.2), 1, "moved", None),
        (Given([1, 2]), 1, "same", None),
        (model_selection.TimeSeriesSplit(3), 3, "moved", None),
        (model_selection.RepeatedKFold(n_splits=4, n_repeats=2), 8, "drawn", None),
        (model_selection.ShuffleSplit(3, test_size=0.2, random_state=1), 3, "drawn", None),
        (model_selection.GroupShuffleSplit(4, test_size=0.25), 4, "drawn", None),
        (model_selection.KFold(4), 4, "same", 4),
        (model_selection.PredefinedSplit(np.arange(N) % 3 - 1), 2, "same", 2),
        (model_selection.LeaveOneGroupOut(), 8, "same", 8),
        (Halves(), 1, "same", None),
    ],
)
def test_a_repeat_redraws_what_can_fairly_be_redrawn(
    folds: Folds, count: int, repeats: str, groups: int | None
) -> None:
    searched = split(folds, DATA, 1)
    again = [split(redrawn(folds), DATA, seed, seed - 1, 2) for seed in (2, 3)]
    design = design_of(folds, searched)
    assert (len(searched), design.n_folds) == (count, count)
    assert (design.repeats, design.groups) == (repeats, groups)
    held = [tuple(parts[0].validation) for parts in (searched, *again)]
    assert len({*held}) == {"drawn": 3, "moved": 3, "same": 1}[repeats]
    assert [tuple(fold.train) for fold in split(folds, DATA, 1)] == [tuple(fold.train) for fold in searched]
    assert (design.meaning == "") == (repeats == "drawn")


def test_the_seed_of_a_splitter_of_scikit_learn_counts_in_the_search() -> None:
    folds = model_selection.ShuffleSplit(1, test_size=0.2, random_state=7)
    (found,), (same,) = split(folds, DATA, 1), split(folds, DATA, 2)
    expected = next(iter(folds.split(np.zeros(N))))[1]
    assert positions(found) == positions(same)
    assert found.validation.tolist() == sorted(expected)


def test_fewer_rows_of_a_split_in_time_are_the_newest() -> None:
    whole = split(Latest(0.25, gap=2), DATA, 0)
    (part,) = train_on_part(Latest(0.25), whole, 0.5, DATA, 0)
    assert positions(part) == ([*range(14, 28)], [*range(30, 40)])


def test_groups_stay_whole_in_fewer_rows_of_scikit_learns_folds() -> None:
    folds = model_selection.GroupKFold(4)
    for fold in train_on_part(folds, split(folds, DATA, 0), 0.5, DATA, 0):
        assert len(fold.train) == 15
        assert len({*(fold.train // 5)}) == 3


def test_another_number_of_folds() -> None:
    changed: Any = with_k(model_selection.StratifiedKFold(3), 5)
    assert changed.n_splits == 5
    in_time: Any = with_k(Latest(0.1, gap=4), 3)
    assert (type(in_time).__name__, in_time.n_splits, in_time.gap) == ("TimeSeriesSplit", 3, 4)
    with pytest.raises(DataError, match="Given"):
        with_k(Given([1]), 2)


@pytest.mark.parametrize("n", [500, 120])
def test_windows_that_are_not_in_order_of_time_are_refused(n: int) -> None:
    windows = np.lib.stride_tricks.sliding_window_view(np.random.default_rng(0).random(n), 20)
    mixed = np.random.default_rng(1).permutation(windows)
    for x, is_refused in ((windows, False), (mixed, True)):
        data = Dataset(x, x[:, -1])
        found = find_leaks(data, split(Latest(0.3), data, 0), seed=0)
        if is_refused:
            with pytest.raises(DataError, match="not in order of time"):
                found.refuse_out_of_order("windows")
        else:
            found.refuse_out_of_order("windows")
    gap = find_leaks(Dataset(windows, windows[:, -1]), split(Latest(0.3, gap=20), data, 0), seed=0)
    assert gap.n_overlapping == 0
