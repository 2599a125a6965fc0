"""NaN and infinity are counted before anything is trained on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autotune.data.rows import Dataset, refuse_no_numbers
from autotune.data.rows import dataset as dataset_module
from autotune.errors import DataError

LABELS = np.array([0, 1, 0, 1])


def _with(value: float, dtype: str = "float32") -> Any:
    x = np.zeros((4, 2, 3), dtype)
    x[1, 1, 2] = x[1, 0, 0] = x[3, 0, 1] = value
    return x


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (_with(np.nan), LABELS, "x of 'toy' holds 3 times NaN, in 2 of 4 rows; the first is in row 1: x[1, 0, 0]"),
        (_with(-np.inf), LABELS, "x of 'toy' holds 3 times infinity"),
        (_with(np.inf, "float16"), LABELS, "x of 'toy' holds 3 times infinity"),
        (_with(1e300, "float64"), LABELS, "x of 'toy' holds 3 times infinity (or more than float32 holds), in 2 of"),
        (_with(complex(0, np.nan), "complex64"), LABELS, "x of 'toy' holds 3 times NaN"),
        (_with(0), np.array([0, 1, np.nan, np.inf]), "y of 'toy' holds 1 times NaN and 1 times infinity"),
        (_with(0), np.array([0, 1, 2, 1e39]), "in 1 of 4 rows; the first is in row 3: y[3]"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [1, 2**24])
def test_values_that_no_network_can_use_are_counted_with_the_first(
    monkeypatch: pytest.MonkeyPatch, x: Any, y: Any, words: str, chunk_bytes: int
) -> None:
    monkeypatch.setattr(dataset_module, "_CHUNK_BYTES", chunk_bytes)
    with pytest.raises(DataError) as caught:
        refuse_no_numbers(Dataset(x, y, name="toy"))
    assert words in caught.value.happened
    assert "Leave these rows out" in caught.value.fix


@pytest.mark.parametrize("x", [_with(1e37), _with(7, "int64"), np.array(["a", "b", "c", "d"]), _with(6e4, "float16")])
def test_everything_else_is_let_through(x: Any) -> None:
    refuse_no_numbers(Dataset(x, LABELS))


def test_missing_values_are_let_through_where_the_model_knows_them_and_nothing_else() -> None:
    refuse_no_numbers(Dataset(_with(np.nan), LABELS, allow_nan=True))
    refuse_no_numbers(Dataset(_with(np.nan), LABELS, allow_nan=True).subset([1, 2]))
    mixed = _with(np.nan)
    mixed[2, 0, 0] = np.inf
    with pytest.raises(DataError, match="holds 1 times infinity"):
        refuse_no_numbers(Dataset(mixed, LABELS, allow_nan=True))
    with pytest.raises(DataError, match="y of"):
        refuse_no_numbers(Dataset(_with(np.nan), np.array([0.5, np.nan, 1, 2]), allow_nan=True))


def test_rows_that_are_named_are_named() -> None:
    with pytest.raises(DataError, match="the test rows' x of 'custom' holds 3 times NaN"):
        refuse_no_numbers(Dataset(_with(np.nan), LABELS), "the test rows' ")


def test_of_rows_that_are_read_each_time_a_sample_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autotune.data.rows.finite._SAMPLE", 10)
    read: list[int] = []

    class Source:
        def __len__(self) -> int:
            return 100

        def __getitem__(self, index: int) -> tuple[float, float]:
            read.append(index)
            return (np.nan if index == 40 else 1.0), 0.5

    with pytest.raises(DataError, match=r"in 1 of 10 rows; the first is in row 40: x\[40\]"):
        refuse_no_numbers(Dataset(Source(), cache=False))
    assert len(set(read)) < 20
