"""Windows of one series and repeated rows are found across a split, and nothing is found where there is nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotune.data.rows import Dataset
from autotune.data.sources import load_development
from autotune.data.splits import Fold, Folds, GroupKFold, Holdout, KFold, find_leaks, known_leaks, leaks, split


def _series(n: int = 3000, decimals: int | None = None) -> Any:
    series = np.cumsum(np.random.default_rng(0).normal(size=n)).astype("float32")
    return series if decimals is None else series.round(decimals)


def _windows(series: Any, length: int, stride: int = 1) -> Dataset:
    """Give windows, the step after each, and the block of ten windows' length that a window lies in."""
    cut = np.lib.stride_tricks.sliding_window_view(series, length, axis=0)[:-1:stride]
    cut = np.moveaxis(cut, -1, 1)
    starts = np.arange(len(cut)) * stride
    y = series[starts + length] if series.ndim == 1 else series[starts + length, 0]
    return Dataset(np.ascontiguousarray(cut), np.asarray(y, np.float64), groups=starts // (10 * length))


def _found(data: Dataset, folds: Folds) -> leaks.Leaks:
    return find_leaks(data, split(folds, data, 0), seed=0)


WINDOWS = {
    "a day of hours": _windows(_series(), 24),
    "rounded": _windows(_series(decimals=1), 24),
    "whole numbers": _windows(_series(decimals=0).astype(int), 24),
    "half a window further each": _windows(_series(), 24, stride=12),
    "long and far apart": _windows(_series(6000), 100, stride=10),
    "very long": _windows(_series(6000), 500, stride=20),
    "four lags": _windows(_series(), 4),
    "several measurements": _windows(np.stack([_series(), _series()[::-1]], axis=1), 10),
    "padded": Dataset(np.pad(_windows(_series(), 24).x, [(0, 0), (10, 0)]), _windows(_series(), 24).y),
}


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("folds", [Holdout(0.2), KFold(5)])
def test_windows_that_overlap_and_are_split_at_random_are_found(name: str, folds: Folds) -> None:
    found = _found(WINDOWS[name], folds)
    assert found.n_overlapping > 0.5 * found.n_validation
    assert found.n_repeated == 0
    percent = f"{100 * found.n_overlapping / found.n_validation:.0f} %"
    of = f"{found.n_overlapping:,} of {found.n_validation:,} rows to validate on ({percent})"
    assert str(found).startswith(f"warning: {of} overlap training rows")
    assert "GroupKFold" in str(found)


def _without_border(data: Dataset, length: int) -> Dataset:
    """Leave out the windows that reach into two blocks."""
    assert data.groups is not None
    starts = np.arange(len(data))
    return data.subset(np.flatnonzero(data.groups == (starts + length - 1) // (10 * length)))


def test_the_same_windows_split_by_blocks_of_time_are_nothing_to_warn_of() -> None:
    found = _found(_without_border(WINDOWS["a day of hours"], 24), GroupKFold(5))
    assert (found.n_validation, found.n_overlapping, found.n_repeated) == (2700, 0, 0)
    assert str(found) == ""
    with_borders = str(_found(WINDOWS["a day of hours"], GroupKFold(5)))
    assert "overlap training rows" in with_borders
    assert "warning" not in with_borders


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_windows_that_do_not_overlap_are_not_found(decimals: int | None) -> None:
    assert str(_found(_windows(_series(decimals=decimals), 24, stride=24), Holdout(0.2))) == ""


@pytest.mark.parametrize(
    "x",
    [
        np.random.default_rng(1).integers(1, 6, (2000, 20)),  # answers from 1 to 5
        np.random.default_rng(1).integers(0, 4, (2000, 8)) * 10**5 + np.arange(2000)[:, np.newaxis] % 7,
        np.random.default_rng(1).integers(0, 2, (2000, 50)),
        np.random.default_rng(1).normal(size=(2000, 20)),
        np.eye(2000)[:, :60],
    ],
    ids=["answers", "steps", "yes and no", "numbers", "mostly nothing"],
)
def test_tables_do_not_overlap(x: Any) -> None:
    assert "overlap" not in str(_found(Dataset(x, np.zeros(len(x))), Holdout(0.2)))


@pytest.mark.parametrize("name", ["digits", "mnist", "spoken-digits", "sentence-polarity"])
def test_real_images_sounds_and_sentences_are_no_windows(name: str, request: pytest.FixtureRequest) -> None:
    folder = None if name == "digits" else request.getfixturevalue("data_dir")
    data = load_development(name, folder)
    if name == "mnist":
        data = data.subset(np.arange(10_000))
    assert str(_found(data, Holdout(0.1))) == ""


@pytest.mark.parametrize("x", [np.arange(400.0).reshape(200, 2), np.array([f"text {i}" for i in range(200)])])
def test_repeated_rows_are_counted_over_all_folds_whatever_their_group(x: Any) -> None:
    again = np.concatenate([x, x[:3], x[:3]])
    data = Dataset(again, np.zeros(len(again)), groups=np.arange(len(again)))
    found = _found(data, GroupKFold(5))
    assert 6 <= found.n_repeated <= 9  # three rows, three times each; some may be in one fold
    assert (found.n_rows, found.n_distinct, found.n_overlapping) == (206, 200, 0)
    assert str(found).startswith(f"warning: {found.n_repeated} of 206 rows to validate on")


def test_rows_that_are_repeated_within_a_part_only_are_none_of_these() -> None:
    x = np.array([[1.0], [1.0], [2.0], [2.0]])
    data = Dataset(x, np.zeros(4))
    assert find_leaks(data, [Fold(np.array([0, 1]), np.array([2, 3]))], 0).n_repeated == 0
    assert find_leaks(data, [Fold(np.array([0, 2]), np.array([1, 3]))], 0).n_repeated == 2


def _repeated(n_repeated: int, n_distinct: int) -> str:
    return str(leaks.Leaks(1000, n_repeated, 0, 0, 0, n_rows=5000, n_distinct=n_distinct, is_sample=False))


def test_a_few_repeated_rows_are_said_and_no_warning() -> None:
    assert _repeated(0, 5000) == ""
    assert _repeated(9, 4991).startswith("9 of 1,000 rows to validate on (0.9 %) are training rows, too")
    assert _repeated(10, 4990).startswith("warning: 10 of 1,000")
    assert _repeated(900, 60).startswith("900 of 1,000")
    assert "only 60 are different" in _repeated(900, 60)


def test_of_large_data_some_rows_are_looked_at_the_same_for_the_same_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "_MOST_ROWS", 1500)
    found = _found(WINDOWS["a day of hours"], Holdout(0.2))
    assert found.is_sample
    assert found.n_rows == 1500
    assert found.n_overlapping > 0.9 * found.n_validation > 0
    assert found == _found(WINDOWS["a day of hours"], Holdout(0.2))
    assert str(found).endswith("A sample of 1,500 development rows was checked.")


def test_what_was_found_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, file = WINDOWS["four lags"], tmp_path / "new" / "leaks.json"
    folds = split(Holdout(0.2), data, 0)
    found = known_leaks(data, folds, 0, file)
    with monkeypatch.context() as patch:
        patch.setattr(leaks, "find_leaks", None)
        assert known_leaks(data, folds, 0, file) == found
    for garbled in ("", "[]", "{}", json.dumps({"form": 1, "n_validation": 3}), json.dumps({"form": 0})):
        file.write_text(garbled)
        assert known_leaks(data, folds, 0, file) == found
