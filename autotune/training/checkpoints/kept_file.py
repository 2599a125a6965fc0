"""The file with what a plain objective keeps of a trial: state and files, under a name for each of its loops.

What is covered: all values that `values` can convert; the content of files and folders, of any size.
What is not covered: permissions and dates of files.

The file is a SHA-256 digest followed by a zip archive, in which `head.json` names the trial. Each loop has a folder
with its `state.json`, its arrays and its files. The file is written under a temporary name and then renamed, so that a
process that is killed at any moment leaves the old file or the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeAlias
from urllib.parse import quote

import numpy as np

from autotune.parsing import parsed
from autotune.training.checkpoints.checkpoint import UnusableCheckpointError
from autotune.training.checkpoints.values import Packing, Unpacking, pack, unpack

_DIGEST_BYTES = 32
_PIECE_BYTES = 1 << 20
_HEAD = "head.json"
_TOLD = ("report", "set_user_attr", "set_constraint")  # the calls of a trial that change what is stored
_NOT_OURS = (zipfile.BadZipFile, KeyError, ValueError, TypeError, IndexError, EOFError)


Told: TypeAlias = Sequence[Any]  # the name of a call, and its arguments


@dataclass(frozen=True)
class KeptHead:
    """What the file says of its trial.

    Attributes:
        identity: The digest of everything that decides the trial's numbers, except its parameters.
        params: The trial's parameters when the file was written, in values of JSON.
        told: The trial's reports, user attributes and constraints so far, as `PipedTrial.told` has them.
        step: The step of the last report.
    """

    identity: str
    params: dict[str, Any]
    told: list[Told]
    step: int

    def __post_init__(self) -> None:
        if any(len(one) != 2 or one[0] not in _TOLD or not isinstance(one[1], (list, tuple)) for one in self.told):
            raise ValueError("something is told that no trial tells again")


@dataclass(frozen=True)
class KeptState:
    """What is kept of one loop.

    Attributes:
        epoch: The last finished epoch, from 1.
        step: The step at which this epoch is reported.
        state: The state after this epoch, of any type that `pack` accepts.
    """

    epoch: int
    step: int
    state: Any


def save_kept(
    path: Path, head: KeptHead, name: str, kept: KeptState, files: Mapping[str, Path], older: Path | None
) -> None:
    """Write the file at `path`, atomically.

    Args:
        path: The path of the file.
        head: What the file says of its trial.
        name: The name of the loop.
        kept: What is kept of this loop.
        files: The paths of files and of empty folders, by their relative names; parts of a name are joined by "/".
        older: An earlier file of the same trial, from which the other loops are copied; None if there is none.

    Raises:
        UnkeptError: If no file can hold the state; nothing is written then.
        OSError: If the disk is full, or the folder or one of `files` cannot be used.
    """
    packing = Packing()
    packed = json.dumps({"epoch": kept.epoch, "step": kept.step, "state": pack(kept.state, packing)})
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w+b") as file:
            file.write(bytes(_DIGEST_BYTES))
            with zipfile.ZipFile(file, "w", strict_timestamps=False) as archive:
                archive.writestr(_HEAD, json.dumps(vars(head)))
                if older is not None:
                    _copy_others(older, archive, _folder(name))
                archive.writestr(f"{_folder(name)}state.json", packed)
                for at, array in packing.arrays.values():
                    with archive.open(f"{_folder(name)}array_{at}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
                for relative, source in files.items():
                    archive.write(source, f"{_folder(name)}files/{relative}")
            digest = _digest(file)
            file.seek(0)
            file.write(digest)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def read_head(path: Path) -> KeptHead | None:
    """Return what the file at `path` says of its trial; None if there is no file.

    Raises:
        UnusableCheckpointError: If the file is damaged or from another version.
        OSError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            written = file.read(_DIGEST_BYTES)
            if _digest(file) != written:
                raise UnusableCheckpointError("is damaged")
    except FileNotFoundError:
        return None
    with _opened(path) as archive:
        return parsed(KeptHead, json.loads(archive.read(_HEAD)))


def read_kept(path: Path, name: str) -> KeptState | None:
    """Return what the file at `path`, which `read_head` has checked, keeps of a loop; None for nothing.

    Raises:
        UnusableCheckpointError: If the file is from another version.
    """
    with _opened(path) as archive:
        if f"{_folder(name)}state.json" not in archive.namelist():
            return None
        fields = json.loads(archive.read(f"{_folder(name)}state.json"))
        state = unpack(fields["state"], Unpacking(_Arrays(archive, _folder(name))))
        return KeptState(int(fields["epoch"]), int(fields["step"]), state)


def unpack_files(path: Path, name: str, folder: Path) -> Path | None:
    """Copy the kept files of a loop into `folder`, in place of all that is there; return it, or None for no files.

    Raises:
        UnusableCheckpointError: If the name of a file leads out of `folder`.
        OSError: If the disk is full or the folder cannot be written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    prefix = f"{_folder(name)}files/"
    with _opened(path) as archive:
        members = [one for one in archive.infolist() if one.filename.startswith(prefix)]
        for member in members:
            relative = PurePosixPath(member.filename.removeprefix(prefix))
            if relative.is_absolute() or ".." in relative.parts:
                raise UnusableCheckpointError("is damaged")
            target = folder / relative
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
    return folder if members else None


class _Arrays:
    """The arrays of one loop by name, as `Unpacking` reads them."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        self._archive = archive
        self._folder = folder

    def __getitem__(self, name: str) -> Any:
        with self._archive.open(f"{self._folder}{name}.npy") as member:
            return np.lib.format.read_array(member, allow_pickle=False)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _NOT_OURS as error:
        raise UnusableCheckpointError("is from another version of this package") from error


def _copy_others(older: Path, archive: zipfile.ZipFile, folder: str) -> None:
    with zipfile.ZipFile(older) as before:
        for member in before.infolist():
            if member.filename == _HEAD or member.filename.startswith(folder):
                continue
            with before.open(member) as source, archive.open(member.filename, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)


def _digest(file: BinaryIO) -> bytes:
    """Return the digest of all that stands behind the place of the digest itself."""
    file.seek(_DIGEST_BYTES)
    digest = hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.digest()


def _folder(name: str) -> str:
    return f"{quote(name, safe=' ')}/"
