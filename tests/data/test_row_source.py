"""A source of rows is read once, in order, and what is wrong with it is said with the number of the row."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotune.data import Dataset
from autotune.errors import DataError

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
