"""The file with what an objective keeps: it comes back as it was, or it says what is wrong with it."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotune.training.checkpoints import kept_file
from autotune.training.checkpoints.checkpoint import UnusableCheckpointError
from autotune.training.checkpoints.kept_file import KeptHead, KeptState, read_head, read_kept, save_kept, unpack_files
from autotune.training.checkpoints.values import UnkeptError

EVIL = [
    [("head.json", json.dumps({"identity": "me", "params": {}, "told": [], "step": 1} | changed))]
    for changed in (
        {"identity": None},
        {"params": []},
        {"step": "1"},
        {"told": [["suggest_float", ["x", 0, 1]]]},
        {"told": [["report", 1]]},
        {"told": ["report"]},
        {"told": [{"report": 1}]},
    )
]
HEAD = KeptHead("me", {"x": 0.1 + 0.2, "kernel": [3, 3]}, [["report", [float("inf"), 1]]], 4)


def save(
    path: Path, name: str = "loop", epoch: int = 4, state: Any = None, older: Path | None = None, **files: Path
) -> None:
    save_kept(path, HEAD, name, KeptState(epoch, epoch, state), files, older)


def seal(path: Path, *members: tuple[str, str]) -> None:
    """Write a file with a right digest and any members."""
    with path.open("w+b") as file:
        file.write(bytes(32))
        with zipfile.ZipFile(file, "w") as archive:
            for member in members:
                archive.writestr(*member)
    payload = path.read_bytes()[32:]
    path.write_bytes(hashlib.sha256(payload).digest() + payload)


def test_state_comes_back_with_its_types(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    generator.normal(size=5)
    state = {
        "weights": [np.arange(6, dtype=np.float16).reshape(2, 3), np.array(2.5)],
        "nested": {"empty": np.zeros((0, 3)), "tuple": (1, None, "ü"), 3: {1.5}},
        "count": np.int64(7),
        "generator": generator,
    }
    save(tmp_path / "deep" / "state", state=state)
    found = read_kept(tmp_path / "deep" / "state", "loop")
    assert found is not None
    assert (found.epoch, found.step) == (4, 4)
    back = found.state
    for one, other in zip(back["weights"], state["weights"], strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
        one += 1  # arrays may be changed
    assert back["nested"]["empty"].shape == (0, 3)
    assert back["nested"]["tuple"] == (1, None, "ü")
    assert back["nested"][3] == {1.5}
    assert type(back["count"]) is np.int64
    assert back["generator"].random() == generator.random()
    assert read_head(tmp_path / "deep" / "state") == HEAD


def test_loops_are_kept_beside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "state"
    (tmp_path / "note.txt").write_text("of the first")
    save(path, "first/../one", 3, {"a": np.arange(3)}, **{"note.txt": tmp_path / "note.txt"})
    save(path, "second", 1, {"b": 1}, older=path)
    save(path, "second", 2, {"b": 2}, older=path)
    first, second = read_kept(path, "first/../one"), read_kept(path, "second")
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.state["a"], np.arange(3))
    assert (first.epoch, second.epoch, second.state) == (3, 2, {"b": 2})
    folder = unpack_files(path, "first/../one", tmp_path / "out")
    assert folder == tmp_path / "out"
    assert (folder / "note.txt").read_text() == "of the first"
    assert unpack_files(path, "second", tmp_path / "none") is None
    assert read_kept(path, "third") is None


def test_files_and_folders_come_back_and_older_ones_go(tmp_path: Path) -> None:
    made = tmp_path / "model"
    (made / "inner" / "empty").mkdir(parents=True)
    (made / "inner" / "weights").write_bytes(os.urandom(3 << 20))
    os.utime(made / "inner" / "weights", (0, 0))  # a date before those of zip archives
    files = {"model/inner/weights": made / "inner" / "weights", "model/inner/empty/": made / "inner" / "empty"}
    save(tmp_path / "state", **files)
    (tmp_path / "out" / "old").mkdir(parents=True)
    unpack_files(tmp_path / "state", "loop", tmp_path / "out")
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*"))
    assert found == ["model", "model/inner", "model/inner/empty", "model/inner/weights"]
    assert (tmp_path / "out/model/inner/weights").read_bytes() == (made / "inner" / "weights").read_bytes()


@pytest.mark.parametrize("moment", ["np.lib.format.write_array", "os.fsync", "os.replace"])
def test_a_write_that_does_not_end_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path = tmp_path / "state"
    save(path, state={"a": np.arange(3)})
    before = path.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(kept_file, moment.split(".")[0], _With(getattr(kept_file, moment.split(".")[0]), moment, fail))
        with pytest.raises(OSError, match="No space"):
            save(path, epoch=5, state={"a": np.arange(4)}, older=path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["state"]


class _With:
    """A module in which one function is another one."""

    def __init__(self, module: Any, name: str, function: Any) -> None:
        self._module, self._names, self._function = module, name.split(".")[1:], function

    def __getattr__(self, name: str) -> Any:
        if self._names == [name]:
            return self._function
        inner = getattr(self._module, name)
        return _With(inner, ".".join(["", *self._names[1:]]), self._function) if self._names[0] == name else inner


def test_what_cannot_be_kept_is_named_and_leaves_the_old_file(tmp_path: Path) -> None:
    save(tmp_path / "state", state={"a": 1})
    with pytest.raises(UnkeptError, match=r"^\['a'\]\[2\]\['f'\]$") as error:
        save(tmp_path / "state", epoch=5, state={"a": [1, 2, {"f": print}]})
    assert error.value.value is print
    found = read_kept(tmp_path / "state", "loop")
    assert found is not None
    assert found.epoch == 4


@pytest.mark.parametrize("cut", [0, 10, 31, 32, 200, -1])
def test_a_torn_file_is_damaged(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "state"
    save(path, state={"a": np.arange(100)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UnusableCheckpointError, match="is damaged"):
        read_head(path)


def test_one_changed_bit_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "state"
    save(path, state={"a": np.arange(100)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnusableCheckpointError, match="is damaged"):
        read_head(path)


def test_no_file_is_nothing(tmp_path: Path) -> None:
    assert read_head(tmp_path / "state") is None


@pytest.mark.parametrize(
    "members", [[], [("head.json", "[]")], [("head.json", "{")], [("head.json", '{"later": 1}')], *EVIL]
)
def test_a_file_of_another_version_is_told(tmp_path: Path, members: list[tuple[str, str]]) -> None:
    seal(tmp_path / "state", *members)
    with pytest.raises(UnusableCheckpointError, match="another version"):
        read_head(tmp_path / "state")


def test_a_state_of_another_version_is_told(tmp_path: Path) -> None:
    state = {"epoch": 1, "step": 1, "state": {"kind": "of tomorrow"}}
    seal(tmp_path / "state", ("head.json", json.dumps(vars(HEAD))), ("loop/state.json", json.dumps(state)))
    assert read_head(tmp_path / "state") == HEAD
    with pytest.raises(UnusableCheckpointError, match="another version"):
        read_kept(tmp_path / "state", "loop")


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/outside"])
def test_no_file_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    seal(tmp_path / "state", (f"loop/files/{name}", "evil"))
    with pytest.raises(UnusableCheckpointError, match="damaged"):
        unpack_files(tmp_path / "state", "loop", tmp_path / "out" / "files")
    assert not list(tmp_path.rglob("outside"))
