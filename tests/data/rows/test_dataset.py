"""A dataset hands out its rows, and nobody else's, without needless copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotune.data.rows import Dataset
from autotune.errors import DataError


def _numbered(n: int = 6) -> Dataset:
    return Dataset(np.arange(n * 4, dtype=np.float32).reshape(n, 2, 2), np.arange(n) % 3)


def test_a_whole_dataset_shares_the_arrays_it_was_given() -> None:
    x, y = np.zeros((4, 3)), np.array([0, 1, 0, 1])
    data = Dataset(x, y)
    assert data.x is x
    assert data.y is y
    assert (len(data), data.input_shape, data.n_classes, data.name) == (4, (3,), 2, "custom")


def test_a_subset_sees_its_own_rows_only() -> None:
    data = _numbered()
    part = data.subset([5, 1])
    assert len(part) == 2
    np.testing.assert_array_equal(part.x, data.x[[5, 1]])
    np.testing.assert_array_equal(part.y, data.y[[5, 1]])
    assert part.x is part.x


def test_a_subset_keeps_the_classes_it_has_no_rows_of() -> None:
    assert _numbered().subset([0, 3]).n_classes == 3


def test_positions_in_a_subset_of_a_subset_are_its_own() -> None:
    data = _numbered()
    part = data.subset([5, 4, 3, 2]).subset([0, 3])
    np.testing.assert_array_equal(part.x, data.x[[5, 2]])
    x, y = part.take([1])
    np.testing.assert_array_equal(x, data.x[[2]])
    np.testing.assert_array_equal(y, data.y[[2]])


def test_a_mapped_array_is_not_read_by_making_subsets(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((50, 4)))
    data = Dataset(np.load(tmp_path / "x.npy", mmap_mode="r"), np.arange(50) % 2)
    assert isinstance(data.x, np.memmap)
    part = data.subset(np.arange(10))
    assert part.y.tolist() == [0, 1] * 5
    assert "x" not in vars(part)


def test_float_targets_have_no_classes() -> None:
    assert Dataset(np.zeros((3, 1)), np.array([0.5, 1.5, 2.0])).n_classes is None


def test_the_digest_depends_on_content_and_not_on_the_name() -> None:
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6) % 2
    digest = Dataset(x, y).digest
    assert digest == Dataset(x.copy(), y.copy(), name="other").digest
    assert len(digest) == 64
    changed = x.copy()
    changed[5, 1] += 1
    others = [
        Dataset(changed, y),
        Dataset(x, 1 - y),
        Dataset(x.astype(np.float32), y),
        Dataset(x.reshape(6, 2, 1), y),
        Dataset(x, y, n_classes=3),
    ]
    assert digest not in {other.digest for other in others}


def test_groups_go_with_their_rows_and_into_the_digest() -> None:
    x, y, speakers = np.zeros((4, 2)), np.array([0, 1, 0, 1]), np.array(["ann", "bob", "ann", "cyd"])
    data = Dataset(x, y, groups=speakers)
    part = data.subset([1, 2, 3]).subset([2, 0])
    assert part.groups is not None
    assert list(part.groups) == ["cyd", "bob"]
    assert Dataset(x, y).groups is None
    assert len({d.digest for d in (data, Dataset(x, y), Dataset(x, y, groups=speakers[::-1]))}) == 3


@pytest.mark.parametrize("groups", [["ann", "bob"], [1.0, 2.0, 3.0, 4.0], [[1, 2, 3, 4]]])
def test_groups_that_do_not_fit_are_refused(groups: list[object]) -> None:
    with pytest.raises(DataError, match="groups"):
        Dataset(np.zeros(4), np.zeros(4, int), groups=groups)


def test_the_digest_of_a_subset_is_that_of_its_rows() -> None:
    data = _numbered()
    rows = [4, 0, 2]
    assert data.subset(rows).digest == Dataset(data.x[rows], data.y[rows], n_classes=3).digest
    assert data.subset(rows).digest != data.subset([0, 2, 4]).digest


def test_the_digest_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _numbered().digest
    monkeypatch.setattr("autotune.data.rows.dataset._CHUNK_BYTES", 50)
    assert len(list(_numbered().chunks())) == 3
    assert _numbered().digest == whole


def test_a_known_digest_is_taken_and_not_passed_on_to_subsets() -> None:
    data = Dataset(np.zeros((3, 1)), np.array([0, 1, 1]), digest="known")
    assert data.digest == "known"
    assert data.subset([0, 1]).digest != "known"


@pytest.mark.parametrize(
    ("x", "y", "n_classes", "found"),
    [
        (np.zeros((3, 2)), np.array([0, 1]), None, r"\(3, 2\)"),
        (np.zeros((1, 2)), np.array([0]), None, r"1 row"),
        (np.zeros((2, 2)), np.array([-1, 0]), None, "from -1 to 0"),
        (np.zeros((2, 2)), np.array([0, 3]), 3, "from 0 to 3"),
        (np.array([["a"], [None]], dtype=object), np.array([0, 1]), None, "object"),
        (np.zeros((2, 2)), np.array([0.0, 1.0]), 2, "floats"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(
    x: np.ndarray, y: np.ndarray, n_classes: int | None, found: str
) -> None:
    with pytest.raises(DataError, match=found):
        Dataset(x, y, n_classes=n_classes)


@pytest.mark.parametrize("positions", [[0, 6], [-1], [True, False], [0.5], [[0], [1]]])
def test_positions_that_are_not_rows_are_refused(positions: list[int]) -> None:
    with pytest.raises(DataError, match="positions of shape"):
        _numbered().subset(positions)


ROWS = np.zeros((2, 2))


@pytest.mark.parametrize(
    ("x", "y", "happened", "fix"),
    [
        (ROWS, np.array(["cat", "dog"]), "words, e.g. 'cat'", "return_inverse=True"),
        (ROWS, np.array([b"cat", b"dog"]), "words", "return_inverse=True"),
        (ROWS, np.array(["cat", "dog"], dtype=object), "words, e.g. 'cat'", "return_inverse=True"),
        (ROWS, np.array([1, None], dtype=object), "row 1 holds None", "without a target"),
        (ROWS, np.array([1, 0], dtype=object), "its numbers are Python objects", "astype('int64')"),
        (ROWS, np.array(["2026-01-01", "2026-01-02"], "datetime64[D]"), "times", "np.timedelta64(1, 'h')"),
        (ROWS, np.array([1, 2], "timedelta64[s]"), "durations", "np.timedelta64(1, 'h')"),
        (ROWS, np.array([1j, 2]), "complex numbers", "y.real"),
        (np.array([1, 2], "datetime64[s]"), np.array([0, 1]), "x holds times", "np.timedelta64(1, 'h')"),
        (np.zeros(2, "f4,i4"), np.array([0, 1]), "x holds records", "{name: x[name]"),
        (np.array([[1, "red"], [2, "blue"]], dtype=object), np.array([0, 1]), "row 0 holds 'red'", "np.unique(column"),
        ([np.ones((1, 2)), np.ones((2, 3))], np.array([0, 1]), "rows of x have different shapes", "Pad or cut"),
        ([[[1], [1, 2]], [[1]]], np.array([0, 1]), "x[0] cannot be made an array", "Pad or cut"),
        (np.ma.masked_invalid([[1, 2], [np.nan, np.nan]]), np.array([0, 1]), "2 of its 4 values are masked", "filled"),
        (
            ROWS,
            np.ma.masked_equal([7, 1], 7),
            "y is a masked array: 1 of its 2 values are masked, the first in",
            "filled",
        ),
    ],
)
def test_values_of_a_kind_that_no_network_reads_are_refused_with_what_to_do_about_them(
    x: Any, y: Any, happened: str, fix: str
) -> None:
    with pytest.raises(DataError) as caught:
        Dataset(x, y)
    assert happened in caught.value.happened
    assert fix in caught.value.fix


def test_what_is_advised_for_words_works() -> None:
    classes, y = np.unique(np.array(["cat", "dog", "cat"]), return_inverse=True)
    assert Dataset(np.zeros((3, 1)), y).n_classes == len(classes) == 2


def test_a_masked_array_without_anything_masked_is_what_it_holds() -> None:
    data = Dataset(np.ma.masked_array([[1.0], [2.0]]), np.ma.masked_array([0, 1], mask=[False, False]))
    assert type(data.x) is type(data.y) is np.ndarray
    assert data.x.tolist() == [[1.0], [2.0]]


def test_groups_with_something_masked_are_refused() -> None:
    with pytest.raises(DataError, match="groups is a masked array"):
        Dataset(ROWS, np.array([0, 1]), groups=np.ma.masked_equal([1, 2], 2))


def test_columns_have_names_that_go_with_their_rows_and_not_into_the_digest() -> None:
    data = Dataset(ROWS, np.array([0, 1]), feature_names=["age", "height"])
    assert data.feature_names == data.subset([0]).feature_names == ("age", "height")
    assert data.digest == Dataset(ROWS, np.array([0, 1])).digest
    assert Dataset(ROWS, np.array([0, 1])).feature_names is None


def test_the_columns_of_a_data_frame_are_called_as_it_calls_them() -> None:
    class Frame:
        columns = ("age", 7)

        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            return ROWS

    frame: Any = Frame()
    assert Dataset(frame, np.array([0, 1])).feature_names == ("age", "7")


@pytest.mark.parametrize("names", [["age"], "ab", [1, 2], []])
def test_names_that_are_not_one_for_each_column_are_refused(names: Any) -> None:
    with pytest.raises(DataError, match="feature_names"):
        Dataset(ROWS, np.array([0, 1]), feature_names=names)
