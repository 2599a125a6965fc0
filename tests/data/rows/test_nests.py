"""A dataset takes whatever arrays `fit` takes, and hands out the rows in the same structure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from autotune.data.rows import Dataset, RaggedArray, WindowArray, refuse_no_numbers
from autotune.data.splits import Fold, Holdout, find_leaks, split
from autotune.data.stored import open_stored, store
from autotune.errors import DataError

N = 12
IMAGES = np.random.default_rng(0).random((N, 4, 4, 1)).astype(np.float32)
AGES = np.arange(N, dtype=np.int64)
TEXTS = np.array([f"text {number}" for number in range(N)])
TOKENS = [np.arange(number % 5 + 1) + 10 * number for number in range(N)]
MASKS = (IMAGES > 0.5).astype(np.uint8)
LABELS = np.arange(N) % 3
SERIES = np.random.default_rng(0).random((N + 4, 2))
WINDOWS = WindowArray(SERIES, np.arange(N), 4), WindowArray(SERIES[:, 0], np.arange(N) + 4, 1)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if one is None or other is None:
        return one is other
    if isinstance(one, RaggedArray):
        return isinstance(other, RaggedArray) and all(map(np.array_equal, one, other))
    if isinstance(one, WindowArray):
        assert isinstance(other, WindowArray)
        assert len(other.series) == len(one.series)
    return one.dtype == other.dtype and np.array_equal(one, other)


DATASETS: dict[str, dict[str, Any]] = {
    "a dict": {"x": {"image": IMAGES, "age": AGES, "text": TEXTS}, "y": LABELS},
    "a list": {"x": [IMAGES, AGES], "y": LABELS},
    "a tuple in a dict": {"x": {"all": (IMAGES, {"age": AGES})}, "y": LABELS},
    "masks": {"x": IMAGES, "y": MASKS},
    "several outputs": {"x": IMAGES, "y": {"mask": MASKS, "age": AGES.astype(np.float32)}},
    "no targets": {"x": IMAGES},
    "one-hot": {"x": IMAGES, "y": np.eye(3, dtype=np.float32)[LABELS]},
    "weights": {"x": IMAGES, "y": LABELS, "sample_weight": np.linspace(0, 1, N)},
    "a weight for each output": {"x": IMAGES, "y": [LABELS, MASKS], "sample_weight": [np.ones(N), np.ones((N, 4, 4))]},
    "tokens": {"x": TOKENS, "y": LABELS},
    "sequences to sequences": {"x": {"in": TOKENS}, "y": {"out": [np.ones((len(one), 2)) for one in TOKENS]}},
    "truth values": {"x": IMAGES, "y": LABELS == 1},
    "bytes": {"x": np.array([b"a", b"bc"] * 6), "y": LABELS},
    "windows": {"x": WINDOWS[0], "y": {"next": WINDOWS[1]}},
    "strata": {"x": IMAGES, "y": MASKS, "stratify": TEXTS},
}
ALL = pytest.mark.parametrize("given", DATASETS.values(), ids=DATASETS)


@ALL
def test_what_is_stored_is_opened_unchanged(given: dict[str, Any], tmp_path: Path) -> None:
    data = Dataset(**given)
    path = store(data, tmp_path)
    opened, written = open_stored(path), {file.name: file.stat().st_mtime_ns for file in path.iterdir()}
    assert same(opened.x, data.x)
    assert same(opened.y, data.y)
    assert same(opened.sample_weight, data.sample_weight)
    assert (opened.digest, opened.n_classes) == (data.digest, data.n_classes)
    assert (opened.input_shape, opened.target_shape) == (data.input_shape, data.target_shape)
    assert (opened.strata is None) == (data.strata is None)
    assert store(data, tmp_path) == path
    assert written == {file.name: file.stat().st_mtime_ns for file in path.iterdir()}


@ALL
def test_a_part_has_its_own_rows_and_their_digest(given: dict[str, Any], tmp_path: Path) -> None:
    data, rows = Dataset(**given), np.array([7, 2, 9, 2])
    part = data.subset(rows)
    alone = open_stored(store(part, tmp_path))
    for number, row in enumerate(rows):
        assert same(part.arrays_at([number]).x, data.arrays_at([row]).x)
        assert same(part.arrays_at([number]).y, data.arrays_at([row]).y)
        assert same(part.arrays_at([number]).sample_weight, data.arrays_at([row]).sample_weight)
    assert same(alone.x, part.x)
    assert Dataset(**given).subset(rows).digest == part.digest != data.digest
    assert part.digest != data.subset(rows[::-1]).digest


def test_the_digest_is_that_of_structure_and_content() -> None:
    one = {"a": IMAGES, "b": AGES}
    others = [
        Dataset({"a": IMAGES, "c": AGES}, LABELS),
        Dataset([IMAGES, AGES], LABELS),
        Dataset((IMAGES, AGES), LABELS),
        Dataset({"a": IMAGES, "b": AGES + 1}, LABELS),
        Dataset(one, LABELS, sample_weight=np.ones(N)),
        Dataset(one, {"y": LABELS}),
        Dataset(one),
        Dataset(one, LABELS, stratify=LABELS),
        Dataset({"a": TOKENS, "b": AGES}, LABELS),
        Dataset({"a": [*TOKENS[:-2], np.concatenate(TOKENS[-2:]), np.arange(0)], "b": AGES}, LABELS),
    ]
    assert len({Dataset(one, LABELS).digest, *(other.digest for other in others)}) == 1 + len(others)
    assert Dataset({"b": AGES, "a": IMAGES}, LABELS).digest == Dataset(one, LABELS).digest


def test_the_digest_of_rows_of_different_lengths_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Dataset(TOKENS, LABELS).digest
    monkeypatch.setattr("autotune.data.rows.dataset._CHUNK_BYTES", 100)
    assert len([*Dataset(TOKENS, LABELS).chunks()]) > 2
    assert Dataset(TOKENS, LABELS).digest == whole


def test_shapes_mirror_the_structure() -> None:
    data = Dataset({"image": IMAGES, "tokens": TOKENS, "ages": [AGES]}, (MASKS, LABELS))
    assert data.input_shape == {"image": (4, 4, 1), "tokens": (None,), "ages": [()]}
    assert data.target_shape == ((4, 4, 1), ())
    assert Dataset(IMAGES).target_shape is None


@pytest.mark.parametrize(
    ("y", "n_classes"),
    [
        (LABELS, 3),
        (LABELS[:, np.newaxis], 3),
        (LABELS == 1, 2),
        (LABELS.astype(np.float32), None),
        (np.eye(3, dtype=int)[LABELS], None),
        ({"y": LABELS}, None),
        (None, None),
    ],
)
def test_one_integer_for_each_row_is_a_label(y: Any, n_classes: int | None) -> None:
    data = Dataset(IMAGES, y)
    assert data.n_classes == n_classes
    assert (data.strata is None) == (n_classes is None)


def test_given_strata_are_kept_in_proportion() -> None:
    strata = np.array(["rare"] * 4 + ["common"] * 16)
    data = Dataset(np.zeros(20), np.zeros((20, 2)), stratify=strata)
    (fold,) = split(Holdout(0.25), data, seed=1)
    assert sorted(strata[fold.validation]) == ["common"] * 4 + ["rare"]
    with pytest.raises(DataError, match="class rare has 1 row"):
        split(Holdout(0.25), data.subset(np.arange(3, 20)), seed=0)


@pytest.mark.parametrize("count", [3, N])
def test_a_list_is_one_of_inputs_if_these_have_a_row_for_each_target(count: int) -> None:
    inputs = [IMAGES + number for number in range(count)]
    assert len(Dataset(inputs, LABELS).input_shape) == count


def test_a_list_is_one_of_rows_if_there_are_as_many_as_targets() -> None:
    assert Dataset([np.zeros(7)] * N, LABELS).input_shape == (7,)
    assert Dataset(TOKENS, LABELS).input_shape == (None,)
    assert Dataset([one.tolist() for one in TOKENS], LABELS).input_shape == (None,)
    assert Dataset(np.array(TOKENS, dtype=object), LABELS).input_shape == (None,)
    assert Dataset({"a": TOKENS, "b": [np.zeros(7)] * N}, [np.zeros(2)] * N).input_shape == {"a": (None,), "b": (7,)}
    assert len(Dataset(TOKENS)) == N


def test_one_row_of_an_array_of_any_kind_is_an_array() -> None:
    ragged = RaggedArray.of(TOKENS)
    for number in (0, 3, -1):
        np.testing.assert_array_equal(ragged[number], TOKENS[number])
        np.testing.assert_array_equal(WINDOWS[0][number], WINDOWS[0][:][number])
    np.testing.assert_array_equal(ragged[np.int64(2)], TOKENS[2])
    for array in (ragged, WINDOWS[0]):
        with pytest.raises(IndexError):
            array[N]


def test_rows_of_different_lengths_are_padded_with_zeros() -> None:
    data = Dataset([np.array([[1, 2]]), np.zeros((0, 2)), np.array([[3, 4], [5, 6]])], np.zeros(3))
    assert np.asarray(data.x).tolist() == [[[1, 2], [0, 0]], [[0, 0], [0, 0]], [[3, 4], [5, 6]]]
    assert data.subset([1]).x.padded().tolist() == [[[0, 0]]]
    assert Dataset([["a", "bc"], ["d"]], [0, 1]).x.padded().tolist() == [["a", "bc"], ["d", ""]]
    assert repr(data.x) == "RaggedArray(shape=(3, None, 2), dtype=int64)"


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_a_data_frame_is_a_dict_of_columns(library: Any) -> None:
    frame = library.DataFrame(
        {
            "age": [30, 41, 57],
            "height": [1.8, None, 1.6],
            "city": ["Bonn", None, "Rome"],
            "smokes": [True, False, True],
            "children": [1, 2, None],
        }
    )
    data = Dataset(frame, library.Series([0, 1, 1]), allow_nan=True)
    found = {name: column.dtype.kind for name, column in data.x.items()}
    assert found == {"age": "i", "height": "f", "city": "U", "smokes": "b", "children": "f"}
    assert data.x["city"].tolist() == ["Bonn", "", "Rome"]
    np.testing.assert_array_equal(data.x["height"], [1.8, np.nan, 1.6])
    np.testing.assert_array_equal(data.x["children"], [1, 2, np.nan])
    assert data.n_classes == 2


def test_categories_and_nullable_columns_of_pandas_keep_their_values() -> None:
    frame = pd.DataFrame(
        {
            "grade": pd.Categorical(["low", None, "high"], ["low", "high"], ordered=True),
            "floor": pd.Categorical([3, 1, 3]),
            "rooms": pd.array([2, None, 4], dtype="Int64"),
            "new": pd.array([True, None, False], dtype="boolean"),
            "owner": pd.array(["ann", pd.NA, "bob"], dtype="string"),
        }
    )
    x = Dataset(frame, [0.5, 1.0, 2.0]).x
    assert x["grade"].tolist() == ["low", "", "high"]
    assert x["floor"].tolist() == [3, 1, 3]
    assert x["floor"].dtype.kind == "i"
    np.testing.assert_array_equal(x["rooms"], [2, np.nan, 4])
    np.testing.assert_array_equal(x["new"], [1, np.nan, 0])
    assert x["owner"].tolist() == ["ann", "", "bob"]


def test_rows_that_have_one_length_by_chance_are_rows() -> None:
    rows = [np.arange(5) for _ in range(N)]
    data = Dataset(rows, rows)
    assert (len(data), data.input_shape, data.target_shape) == (N, (5,), (5,))
    assert len(Dataset([AGES, AGES], [LABELS, LABELS])) == N


def test_categories_of_polars_are_words() -> None:
    frame = pl.DataFrame({"grade": pl.Series(["low", None, "high"], dtype=pl.Categorical)})
    assert Dataset(frame, [0.5, 1.0, 2.0]).x["grade"].tolist() == ["low", "", "high"]


@pytest.mark.parametrize(
    ("given", "happened"),
    [
        ({"x": {"a": AGES, "b": AGES[1:]}, "y": LABELS}, r"x\['b'\] has 11 rows, and x\['a'\] has 12"),
        ({"x": AGES, "y": {"a": LABELS[1:]}}, r"y\['a'\] has 11 rows, and x has 12"),
        ({"x": AGES, "y": LABELS, "sample_weight": np.ones(3)}, "sample_weight has 3 rows, and x has 12"),
        ({"x": TOKENS, "y": LABELS[1:]}, "y has 11 rows, and x has 12"),
        ({"x": {"a": 3}, "y": LABELS}, r"x\['a'\] is a single value"),
        ({"x": "train.csv", "y": LABELS}, "(?s)x is the text 'train.csv'.*Read the file"),
        ({"x": (row for row in AGES)}, r"(?s)x is a Python iterator \(generator\).*__getitem__"),
        ({"x": AGES, "y": LABELS - 1}, "(?s)run from -1 to 1.*astype"),
        ({"x": {"a": None}, "y": LABELS}, r"x\['a'\] is None"),
        ({"x": {}, "y": LABELS}, "x is an empty dict"),
        ({"x": {1: AGES}, "y": LABELS}, "x is a dict with the key 1"),
        ({"x": {"a": np.array([None] * N)}, "y": LABELS}, r"x\['a'\] has the dtype object"),
        ({"x": AGES, "y": {"when": np.zeros(N, "M8[s]")}}, r"y\['when'\] holds times"),
        ({"x": AGES, "y": LABELS, "sample_weight": TEXTS}, "sample_weight has the dtype"),
        ({"x": AGES, "sample_weight": np.ones(N)}, "sample_weight is given without y"),
        ({"x": AGES, "y": MASKS, "n_classes": 2}, "n_classes is 2"),
        ({"x": AGES, "y": LABELS, "stratify": np.ones(N)}, "stratify has the shape"),
        ({"x": {"a": AGES}, "y": LABELS, "feature_names": ["a"]}, "x is no single array"),
        ({"x": [b"a\0"] * N, "y": LABELS, "name": "n"}, None),
        ({"x": np.array([b"a\0"] * N, dtype=object), "y": LABELS}, "x has the dtype object"),
        ({"x": pd.DataFrame({"a": [1, "b"]}), "y": [0, 1]}, r"x\['a'\] holds 1 and 'b'"),
        ({"x": pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "y": [0, 1]}, "two columns with the name 'a'"),
        ({"x": pd.DataFrame({"t": pd.to_datetime(["2026-01-01"] * 2)}), "y": [0, 1]}, r"x\['t'\] holds times"),
    ],
)
def test_arrays_that_do_not_fit_are_named(given: dict[str, Any], happened: str | None) -> None:
    if happened is None:
        Dataset(**given)
        return
    with pytest.raises(DataError, match=happened):
        Dataset(**given)


def test_a_sparse_matrix_is_refused_with_what_to_do() -> None:
    from scipy.sparse import csr_matrix

    with pytest.raises(DataError, match="sparse matrix") as caught:
        Dataset(csr_matrix(np.eye(3)), [0, 1, 2])
    assert "x.toarray()" in caught.value.fix


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"x": {"a": AGES, "b": [np.zeros(2), np.array([0, 1, np.nan])]}}, "the first is in row 1: x['b'][1, 2]"),
        ({"x": AGES, "y": {"m": np.array([[1, 2], [3, np.inf]])}}, "the first is in row 1: y['m'][1, 1]"),
        ({"x": AGES, "y": np.zeros(2), "sample_weight": np.array([1, np.nan])}, "in row 1: sample_weight[1]"),
    ],
)
def test_values_that_are_no_numbers_are_found_in_every_array(given: dict[str, Any], where: str) -> None:
    x = given["x"]
    short = {**given, "x": {**x, "a": AGES[:2]} if isinstance(x, dict) else x[:2]}
    with pytest.raises(DataError, match=re.escape(where)):
        refuse_no_numbers(Dataset(**short))


@pytest.mark.parametrize(
    "x",
    [
        {"a": np.array([1, 2, 1, 1]), "b": np.array(["u", "v", "u", "w"])},
        [np.array([1, 2, 1, 1]), np.array([3, 3, 3, 4])],
        [np.array([1, 2]), np.array([1, 2, 0]), np.array([1, 2]), np.array([2, 1])],
    ],
)
def test_a_row_is_repeated_if_all_its_inputs_are(x: Any) -> None:
    data = Dataset(x, np.zeros(4))
    found = find_leaks(data, [Fold(np.array([0, 1]), np.array([2, 3]))], seed=0)
    assert (found.n_repeated, found.n_distinct) == (1, 3)


def test_windows_are_found_beside_other_inputs() -> None:
    series = np.random.default_rng(0).random(300)
    windows = np.lib.stride_tricks.sliding_window_view(series, 24)
    data = Dataset({"past": windows, "hour": np.arange(len(windows)) % 24}, windows[:, -1])
    found = find_leaks(data, split(Holdout(0.2), data, 0), seed=0)
    assert found.n_overlapping > 0.9 * found.n_validation
