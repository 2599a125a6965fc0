"""A stored dataset is the same dataset, mapped; nobody ever opens half of one."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from autotune.data import Dataset, open_stored, store
from autotune.errors import DataError


def _dataset(name: str = "toy") -> Dataset:
    return Dataset(np.arange(40.0).reshape(10, 2, 2), np.arange(10) % 3, name=name, n_classes=5)


@pytest.mark.parametrize(
    "data",
    [
        _dataset(),
        _dataset().subset([7, 3, 1]),
        Dataset(np.asfortranarray(np.arange(12.0).reshape(4, 3)), np.array([0.5, 1.5, 2.5, 3.5])),
        Dataset(np.array(["good", "bad film", "é"]), np.array([1, 0, 1], np.uint8)),
        Dataset(np.zeros(3), np.array([1, 0, 1]), groups=np.array(["ann", "bob", "ann"])),
    ],
    ids=["whole", "subset", "floats", "texts", "groups"],
)
def test_what_is_stored_is_opened_unchanged_and_mapped(tmp_path: Path, data: Dataset) -> None:
    opened = open_stored(store(data, tmp_path / "new" / "folder"))
    assert isinstance(opened.x, np.memmap)
    assert isinstance(opened.y, np.memmap)
    np.testing.assert_array_equal(opened.x, data.x)
    np.testing.assert_array_equal(opened.y, data.y)
    assert (opened.x.dtype, opened.y.dtype) == (data.x.dtype, data.y.dtype)
    assert (opened.name, opened.n_classes, opened.digest) == (data.name, data.n_classes, data.digest)
    assert list(opened.groups if opened.groups is not None else []) == list(
        data.groups if data.groups is not None else []
    )


def test_the_stored_digest_is_that_of_the_rows_and_is_not_computed_again(tmp_path: Path) -> None:
    path = store(_dataset(), tmp_path)
    opened = open_stored(path)
    assert Dataset(opened.x, opened.y, n_classes=opened.n_classes).digest == opened.digest
    about = json.loads((path / "dataset.json").read_text())
    (path / "dataset.json").write_text(json.dumps({**about, "digest": "known"}))
    assert open_stored(path).digest == "known"


def test_the_folder_is_named_after_name_and_digest(tmp_path: Path) -> None:
    data = _dataset("my data/../v2")
    path = store(data, tmp_path)
    assert path == tmp_path / f"my-data-v2-{data.digest[:12]}"
    assert open_stored(path).name == "my data/../v2"


def test_storing_again_writes_nothing(tmp_path: Path) -> None:
    path = store(_dataset(), tmp_path)
    before = (path / "x.npy").stat().st_mtime_ns
    assert store(_dataset(), tmp_path) == path
    assert (path / "x.npy").stat().st_mtime_ns == before
    assert os.listdir(tmp_path) == [path.name]


def test_two_that_store_at_once_both_succeed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both_written, replace = Barrier(2, timeout=60), os.replace

    def replace_together(*args: Any) -> None:
        both_written.wait()
        replace(*args)

    monkeypatch.setattr("os.replace", replace_together)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda data: store(data, tmp_path), [_dataset(), _dataset()])
    assert first == second
    assert os.listdir(tmp_path) == [first.name]
    np.testing.assert_array_equal(open_stored(first).x, _dataset().x)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        store(_dataset(), tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_a_file_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((NotADirectoryError, FileExistsError)):
        store(_dataset(), tmp_path / "file")


def test_a_folder_without_a_dataset_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_stored(tmp_path)


@pytest.mark.parametrize("file", ["x.npy", "y.npy", "dataset.json"])
def test_a_torn_file_says_what_to_do(tmp_path: Path, file: str) -> None:
    path = store(_dataset(), tmp_path)
    (path / file).write_bytes((path / file).read_bytes()[:-20])
    with pytest.raises(DataError, match="Remove that folder"):
        open_stored(path)
