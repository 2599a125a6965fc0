"""A stored dataset is the same dataset, mapped; nobody ever opens half of one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from autotune.data.rows import Dataset
from autotune.data.stored import as_stored, open_stored, store
from autotune.errors import DamagedStoreError


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


def _grouped() -> Dataset:
    return Dataset(np.arange(40.0).reshape(10, 2, 2), np.arange(10) % 3, groups=np.arange(10) // 2, name="toy")


def _zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _half_zeroed(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 9 // 10] + bytes(len(content) - len(content) * 9 // 10))


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 8)


def _longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(8))


def _with_one_other_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def _of_another_shape(path: Path) -> None:
    np.save(path, np.load(path).reshape(-1, 1))


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


_DAMAGES = [_zeroed, _half_zeroed, _truncated, _longer, _with_one_other_bit, _of_another_shape, _emptied, Path.unlink]


@pytest.mark.parametrize("file", ["x.npy", "y.npy", "groups.npy"])
@pytest.mark.parametrize("damage", _DAMAGES)
def test_a_damaged_file_is_written_anew_and_said(tmp_path: Path, damage: Callable[[Path], None], file: str) -> None:
    path = store(_grouped(), tmp_path)
    whole = {one.name: one.read_bytes() for one in path.iterdir()}
    damage(path / file)
    said: list[str] = []
    assert store(_grouped(), tmp_path, said.append) == path
    assert {one.name: one.read_bytes() for one in path.iterdir()} == whole
    assert len(said) == 1
    assert str(path) in said[0]
    assert file in said[0]
    assert "written again" in said[0]
    assert os.listdir(tmp_path) == [path.name]
    assert store(_grouped(), tmp_path, said.append) == path
    assert len(said) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda about: "[1, 2]",
        lambda about: "{" * 5000,
        lambda about: "",
        lambda about: json.dumps({**about, "n_classes": 77}),
        lambda about: json.dumps({**about, "name": "other"}),
        lambda about: json.dumps({**about, "digest": "0"}),
        lambda about: json.dumps({**about, "files": 3}),
        lambda about: json.dumps({**about, "files": {**about["files"], "x.npy": None}}),
        lambda about: json.dumps({**about, "files": {**about["files"], "../x.npy": about["files"]["x.npy"]}}),
        lambda about: json.dumps({key: value for key, value in about.items() if key != "name"}),
    ],
)
def test_a_garbled_record_is_written_anew_and_said(tmp_path: Path, change: Callable[[dict[str, Any]], str]) -> None:
    path = store(_grouped(), tmp_path)
    whole = (path / "dataset.json").read_bytes()
    (path / "dataset.json").write_text(change(json.loads(whole)))
    said: list[str] = []
    store(_grouped(), tmp_path, said.append)
    assert (path / "dataset.json").read_bytes() == whole
    assert len(said) == 1


def test_what_was_stored_without_checksums_is_written_anew_without_a_word(tmp_path: Path) -> None:
    path = store(_grouped(), tmp_path)
    about = json.loads((path / "dataset.json").read_text())
    del about["files"]
    (path / "dataset.json").write_text(json.dumps(about))
    _zeroed(path / "x.npy")
    said: list[str] = []
    np.testing.assert_array_equal(open_stored(store(_grouped(), tmp_path, said.append)).x, _grouped().x)
    assert said == []


def test_who_has_a_damaged_store_open_keeps_it_open_when_it_is_written_anew(tmp_path: Path) -> None:
    path = store(_grouped(), tmp_path)
    _half_zeroed(path / "y.npy")
    opened = open_stored(path)
    store(_grouped(), tmp_path)
    assert list(opened.y) != list(_grouped().y)
    np.testing.assert_array_equal(opened.x, _grouped().x)
    np.testing.assert_array_equal(open_stored(path).y, _grouped().y)


def test_names_that_share_a_place_are_not_taken_for_damage(tmp_path: Path) -> None:
    said: list[str] = []
    first = store(_dataset("my data/v1"), tmp_path, said.append)
    assert store(_dataset("my-data-v1"), tmp_path, said.append) == first
    assert said == []


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *product(["x.npy", "y.npy", "groups.npy"], [_truncated, _longer, _of_another_shape, _emptied, Path.unlink]),
        *product(["dataset.json"], [_truncated, _emptied, Path.unlink]),
    ],
)
def test_opening_compares_sizes_and_forms(tmp_path: Path, file: str, damage: Callable[[Path], None]) -> None:
    path = store(_grouped(), tmp_path)
    damage(path / file)
    with pytest.raises(DamagedStoreError, match="Run the same command again") as caught:
        open_stored(path)
    assert file in caught.value.happened


def test_rows_that_are_stored_can_be_read_once_the_power_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not synchronized before the folder gets its name may be zeros after a power cut."""
    synchronized, replace = [], os.replace
    monkeypatch.setattr("os.fsync", synchronized.append)

    def only_when_synchronized(source: Path, target: Path) -> None:
        assert len(synchronized) == len(list(Path(source).iterdir())) == 4
        replace(source, target)

    monkeypatch.setattr("os.replace", only_when_synchronized)
    store(_grouped(), tmp_path)


def test_columns_that_are_renamed_are_no_other_rows_and_no_damage(tmp_path: Path) -> None:
    said: list[str] = []

    def stored(names: list[str] | None) -> tuple[str, ...] | None:
        data = Dataset(np.zeros((3, 2)), np.array([0, 1, 1]), feature_names=names)
        return open_stored(store(data, tmp_path, said.append)).feature_names

    assert [stored(names) for names in (None, ["a", "b"], ["b", "a"], None)] == [None, ("a", "b"), ("b", "a"), None]
    assert said == []
    assert len(os.listdir(tmp_path)) == 1


def test_what_is_stored_counts_where_a_version_names_the_content(tmp_path: Path) -> None:
    x, y = np.arange(6.0), np.array([0, 1, 0, 1, 0, 1])
    first = Dataset(x, y, version="1")
    path = store(first, tmp_path)
    later = Dataset(x[::-1], y[::-1], version="1", name="custom", allow_nan=True, overlap=3)
    assert store(later, tmp_path) == path
    found = as_stored(later, path)
    assert found.x.tolist() == x.tolist()
    assert (found.digest, found.allow_nan, found.overlap) == (first.digest, True, 3)
