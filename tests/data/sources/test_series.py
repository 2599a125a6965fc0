"""Windows are cut from the series when they are read, and are stored as the series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotune.data.sources import windows
from autotune.data.splits import Latest, find_leaks, split
from autotune.data.stored import open_stored, store
from autotune.errors import DataError

SERIES = np.random.default_rng(0).random((300, 3)).astype(np.float32)


@pytest.mark.parametrize(("length", "horizon", "step"), [(5, 1, 1), (7, 3, 2), (24, 6, 5)])
def test_windows_are_those_of_a_sliding_window(length: int, horizon: int, step: int) -> None:
    data = windows(SERIES, length, horizon, step, target=1)
    view = np.lib.stride_tricks.sliding_window_view(SERIES, length, axis=0).swapaxes(1, 2)[::step]
    np.testing.assert_array_equal(data.x, view[: len(data)])
    after = np.lib.stride_tricks.sliding_window_view(SERIES[:, 1], horizon)[length::step]
    np.testing.assert_array_equal(data.y, after)
    assert (data.input_shape, data.target_shape) == ((length, 3), (horizon,))
    x, y = data.subset([3, 9, 1]).take([2, 0])
    np.testing.assert_array_equal(x, data.x[[1, 3]])
    np.testing.assert_array_equal(y, data.y[[1, 3]])


def test_columns_to_predict() -> None:
    assert windows(SERIES, 5, 2).target_shape == (2, 3)
    assert windows(SERIES, 5, 2, target=[0, 2]).target_shape == (2, 2)
    assert windows(SERIES[:, 0], 5, 2).target_shape == (2,)


def test_the_series_is_stored_and_not_its_windows(tmp_path: Path) -> None:
    data = windows(SERIES, 100, 1, target=0)
    path = store(data, tmp_path)
    assert sum(file.stat().st_size for file in path.iterdir()) < 3 * SERIES.nbytes
    opened = open_stored(path)
    np.testing.assert_array_equal(opened.x, data.x)
    np.testing.assert_array_equal(opened.y, data.y)
    assert opened.digest == data.digest


def test_the_newest_windows_share_no_step_with_those_that_are_trained_on() -> None:
    data = windows(SERIES[:, 0], 10, 3, step=2)
    (fold,) = split(Latest(0.2), data, 0)
    last_step = 2 * fold.train[-1] + 10 + 3
    assert last_step <= 2 * fold.validation[0]
    assert last_step + 2 > 2 * fold.validation[0]
    assert find_leaks(data, [fold], 0).n_overlapping == 0
    (close,) = split(Latest(0.2, gap=0), data, 0)
    assert close.train[-1] == close.validation[0] - 1


@pytest.mark.parametrize(
    ("given", "happened"),
    [
        ({"length": 0}, "length is 0"),
        ({"length": 3, "horizon": 0}, "horizon is 0"),
        ({"length": 3, "step": 1.5}, "step is 1.5"),
        ({"length": 300}, r"the series has the shape \(300, 3\)"),
        ({"length": 3, "target": 3}, "target is 3"),
        ({"length": 3, "target": "price"}, "target is 'price'"),
    ],
)
def test_windows_that_cannot_be_cut_are_refused(given: dict[str, Any], happened: str) -> None:
    with pytest.raises(DataError, match=happened):
        windows(SERIES, **given)
