"""A source of rows is read once, in order, and what is wrong with it is said with the number of the row."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotune.data.rows import Dataset
from autotune.data.stored import facts_of_stored, open_stored, store
from autotune.errors import DamagedStoreError, DataError

N = 50


class Rows:
    """A source of one's own.

    Attributes:
        read: The rows that were read.
        threads: The threads that read them.
    """

    def __init__(self, row_of: Callable[[int], Any], n: int = N) -> None:
        self._row_of = row_of
        self._n = n
        self.read: list[int] = []
        self.threads: set[int] = set()

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> Any:
        self.read.append(index)
        self.threads.add(threading.get_ident())
        return self._row_of(index)


def pair(index: int) -> Any:
    return np.full((2, 3), index, np.float32), index % 3


def test_rows_are_read_once_and_kept_in_order() -> None:
    source = Rows(pair)
    data = Dataset(source)
    assert sorted(source.read) == list(range(N))
    assert (len(data), data.input_shape, data.n_classes) == (N, (2, 3), 3)
    assert isinstance(data.x, np.memmap)
    np.testing.assert_array_equal(data.x[:, 0, 0], np.arange(N))
    np.testing.assert_array_equal(data.y, np.arange(N) % 3)


def test_several_threads_read_at_once() -> None:
    together = threading.Barrier(2, timeout=60)

    def row_of(index: int) -> Any:
        if index < 2:
            together.wait()  # would never pass with one thread
        return pair(index)

    source = Rows(row_of)
    Dataset(source)
    assert len(source.threads) >= 2


@pytest.mark.parametrize(
    ("row_of", "shape", "target_shape", "has_weights"),
    [
        (lambda i: (np.zeros(4), i % 2, 0.5), (4,), (), True),
        (
            lambda i: ({"a": np.zeros(4), "text": f"row {i}"}, (1.0, np.ones(2))),
            {"a": (4,), "text": ()},
            ((), (2,)),
            False,
        ),
        (lambda i: {"x": np.zeros(4), "y": 1.0}, (4,), (), False),
        (lambda i: (np.zeros(i % 4 + 1), 0.5), (None,), (), False),
        (lambda i: (np.zeros(4),), (4,), None, False),
        (lambda i: {"a": 1.0, "b": np.zeros(2)}, {"a": (), "b": (2,)}, None, False),
    ],
)
def test_rows_may_have_any_structure(row_of: Any, shape: Any, target_shape: Any, has_weights: bool) -> None:
    data = Dataset(Rows(row_of))
    assert (data.input_shape, data.target_shape) == (shape, target_shape)
    assert (data.sample_weight is not None) == has_weights


def test_keys_of_a_dict_are_targets_if_they_are_named() -> None:
    data = Dataset(Rows(lambda i: {"image": np.zeros((2, 2)), "label": i % 2, "name": f"{i}"}), target="label")
    assert (data.input_shape, data.n_classes) == ({"image": (2, 2), "name": ()}, 2)
    several = Dataset(Rows(lambda i: {"image": np.zeros(2), "a": 1.0, "b": 2.0}), target=("a", "b"))
    assert several.target_shape == {"a": (), "b": ()}
    with pytest.raises(DataError, match="row 0 of the source has no 'lable'"):
        Dataset(Rows(lambda i: {"image": 1.0, "label": 1}), target="lable")


def _fails(index: int) -> Any:
    if index == 17:
        raise OSError("no such file: cat.png")
    return pair(index)


def _lies(index: int) -> Any:
    if index >= 30:
        raise IndexError("list index out of range")
    return pair(index)


def _differs(index: int) -> Any:
    return (np.zeros((2, 4 if index == 9 else 3), np.float32), 0)


@pytest.mark.parametrize(
    ("row_of", "happened"),
    [
        (_fails, "stopped at row 17 with OSError: no such file: cat.png"),
        (_lies, "the source has no row 30"),
        (_differs, r"x of row 9 has the shape \(2, 4\)"),
        (
            lambda i: (np.zeros(2, np.float32 if i else np.float64), 0),
            "x of row 1 has the shape .* and the dtype float32",
        ),
        (
            lambda i: ({"a": 1, "b": 2}, 0) if i != 4 else ({"a": 1}, 0),
            r"row 4 of the source has the arrays x\['a'\], y",
        ),
        (lambda i: 3.0, "row 0 of the source is float"),
        (lambda i: (1, 2, 3, 4), "row 0 of the source is tuple"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(row_of: Any, happened: str) -> None:
    with pytest.raises(DataError, match=happened):
        Dataset(Rows(row_of))


def test_a_source_without_rows_is_refused() -> None:
    with pytest.raises(DataError, match="the source has no rows"):
        Dataset(Rows(pair, 0))


def test_the_files_go_with_the_dataset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = Dataset(Rows(pair))
    (folder,) = tmp_path.iterdir()
    part = data.subset([1, 2])
    del data
    gc.collect()
    assert folder.exists()
    assert part.x[:, 0, 0].tolist() == [1, 2]
    del part
    gc.collect()
    assert not folder.exists()
    with pytest.raises(DataError):
        Dataset(Rows(_fails))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "row_of",
    [
        pair,
        lambda i: ({"a": np.zeros(i % 4 + 1), "text": f"row {i}"}, 0.5, 1.0),
        lambda i: (np.full(3, i),),
    ],
)
def test_rows_that_are_read_each_time_are_those_that_are_cached(row_of: Any, tmp_path: Path) -> None:
    source = Rows(row_of)
    each, once = Dataset(source, cache=False), Dataset(Rows(row_of))
    assert len(source.read) == 8  # the first ones, for the shapes
    assert (len(each), each.is_read_each_time, once.is_read_each_time) == (N, True, False)
    assert (each.input_shape, each.target_shape) == (once.input_shape, once.target_shape)
    assert each.labels is None
    part, same = (data.subset([9, 4, 30]).batch([2, 0]) for data in (each, once))
    for one, other in zip(part, same, strict=True):
        leaves = [*zip(one.values(), other.values(), strict=True)] if isinstance(one, dict) else [(one, other)]
        for found, expected in leaves:
            np.testing.assert_array_equal(found, expected)
    assert sorted(source.read[8:]) == [9, 30]  # no other row, and each once


def test_rows_that_are_read_each_time_are_known_by_their_content_or_their_version(tmp_path: Path) -> None:
    by_content = Dataset(Rows(pair), cache=False).digest
    assert by_content == Dataset(Rows(pair), cache=False).digest
    assert by_content != Dataset(Rows(lambda i: pair(i + 1)), cache=False).digest
    source = Rows(pair)
    named = Dataset(source, cache=False, version="2026-01")
    digest = named.digest
    path = store(named, tmp_path)
    assert len(source.read) == 8
    assert digest != Dataset(Rows(pair), cache=False, version="2026-02").digest
    assert digest != named.subset([0, 1]).digest
    assert facts_of_stored(path) == {"name": "custom", "digest": digest, "rows": N, "version": "2026-01"}


def test_rows_that_are_read_each_time_are_not_stored_but_opened_from_the_source(tmp_path: Path) -> None:
    data = Dataset(Rows(pair), cache=False, n_classes=3, stratify=np.arange(N) % 3, name="cats")
    path = store(data, tmp_path)
    assert store(data, tmp_path) == path
    assert sorted(file.name for file in path.iterdir()) == ["dataset.json", "stratify.npy"]
    opened = open_stored(path, lambda: Dataset(Rows(pair), cache=False, n_classes=3, stratify=np.arange(N) % 3))
    assert (opened.digest, opened.n_classes, len(opened)) == (data.digest, 3, N)
    with pytest.raises(DamagedStoreError, match="read from the study's own source"):
        open_stored(path)
    with pytest.raises(DamagedStoreError, match="has 20 rows now, and had 50"):
        open_stored(path, lambda: Dataset(Rows(pair, 20), cache=False))


def test_a_row_that_differs_from_the_first_ones_is_named_when_it_is_read() -> None:
    data = Dataset(Rows(lambda i: (np.zeros(3 if i < 20 else 4), 0)), cache=False)
    with pytest.raises(DataError, match=r"x of row 25 has the shape \(4,\)"):
        data.batch([1, 25])
    with pytest.raises(DataError, match="stopped at row 17"):
        Dataset(Rows(_fails), cache=False).batch([17])


def test_a_version_takes_the_place_of_the_digest_of_arrays_too() -> None:
    x = np.zeros((4, 2))
    assert Dataset(x, x, version="1").digest == Dataset(x + 1, x, version="1").digest
    assert Dataset(x, x, version="1").digest != Dataset(x, x, version="2").digest


@pytest.mark.trains
@pytest.mark.parametrize("is_batched", [True, False])
def test_datasets_of_tensorflow_are_run_through_once(is_batched: bool) -> None:
    import tensorflow as tf

    rows = tf.data.Dataset.from_tensor_slices(
        ({"a": np.arange(9), "t": np.array(["x", "yy", "z"] * 3)}, np.arange(9) % 2)
    )
    data = Dataset(rows.batch(4) if is_batched else rows)
    assert data.x["a"].tolist() == list(range(9))
    assert data.x["t"].tolist() == ["x", "yy", "z"] * 3 or data.x["t"].tolist() == [b"x", b"yy", b"z"] * 3
    assert data.n_classes == 2
    with pytest.raises(DataError, match="no end"):
        Dataset(rows.repeat())
    with pytest.raises(DataError, match="in another order"):
        Dataset(tf.data.Dataset.range(1000).map(lambda i: (i, i)).shuffle(1000))


@pytest.mark.trains
def test_batches_of_a_py_dataset_are_cut_into_rows() -> None:
    import keras

    class Batched(keras.utils.PyDataset):  # type: ignore[misc]  # reason: Keras ships no types
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            n = 2 if index == 2 else 4
            return np.full((n, 5), index), np.full(n, index)

    data = Dataset(Batched())
    assert (len(data), data.input_shape) == (10, (5,))
    assert data.y.tolist() == [0] * 4 + [1] * 4 + [2] * 2


@pytest.mark.trains
def test_sources_of_grain_are_read_by_number() -> None:
    grain = pytest.importorskip("grain")
    for source in (grain.sources.RangeDataSource(0, 10, 1), grain.MapDataset.range(10)):
        data = Dataset(source.map(lambda i: (np.full(2, i), i % 2)) if hasattr(source, "map") else _Pairs(source))
        assert data.x[:, 0].tolist() == list(range(10))
        assert data.n_classes == 2


class _Pairs:
    def __init__(self, numbers: Any) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Any:
        number = self._numbers[index]
        return np.full(2, number), number % 2


def test_data_that_look_like_those_of_other_libraries_are_read() -> None:
    class Columns(Rows):  # as Hugging Face's datasets give rows
        features = ("image", "label")

    data = Dataset(Columns(lambda i: {"image": np.zeros((2, 2), np.uint8), "label": i % 2}), target="label")
    assert (data.input_shape, data.n_classes) == ({"image": (2, 2)}, 2)
