"""Datasets on disk, where trial processes map them instead of each holding a copy.

A disk may give back other bytes than were written: a torn or zeroed file after a power cut, one that was truncated or
edited. Sizes and forms are compared at every opening, which costs nothing; all bytes once in each run, by `store`.
What is not covered: bytes that change while a run goes on and leave the size as it is; the next run finds them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from autotune.data.dataset import Dataset
from autotune.errors import DamagedStoreError

_X, _Y, _GROUPS, _ABOUT = "x.npy", "y.npy", "groups.npy", "dataset.json"
_READ_BYTES = 2**22


def store(dataset: Dataset, folder: Path, tell: Callable[[str], None] = lambda text: None) -> Path:
    """Write a dataset to disk, unless it is there already, byte by byte as it was written.

    It is written beside its place and moved there when complete: nobody sees half of it, and of two processes
    that store the same data at once both succeed. What is damaged is written anew, file by file, under the feet of
    whoever has it open: these keep what they have.

    Args:
        dataset: What to store; a subset is stored with its own rows only.
        folder: Where to; made when missing.
        tell: Told in a sentence or two what was damaged, if something was.

    Returns:
        `folder/NAME-DIGEST` with x.npy, y.npy, dataset.json and, if there are groups, groups.npy in it, for
        `open_stored`.

    Raises:
        OSError: The disk is full or the folder cannot be written.

    Example:
        >>> import tempfile, numpy as np
        >>> data = Dataset(np.zeros((4, 2)), np.array([0, 1, 0, 1]))
        >>> len(open_stored(store(data, Path(tempfile.mkdtemp()))))
        4
    """
    target = folder / f"{_as_file_name(dataset.name)}-{dataset.digest[:12]}"
    was_there = target.is_dir()
    damage = _damage(target, dataset) if was_there else ""
    if damage is None:
        _rename_columns(target, dataset)
        return target
    partial = folder / f".{target.name}.{uuid.uuid4().hex}"
    partial.mkdir(parents=True)
    try:
        _write(dataset, partial)
        if was_there:
            _replace_files(partial, target)
        else:
            _move(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if damage:
        tell(
            f"the stored rows in {target} were not as they had been written: {damage} They were written anew from the "
            "dataset. Trials that have trained on them since they were damaged may be wrong: `autotune replay NAME "
            "--trial N` tells."
        )
    return target


def open_stored(path: Path) -> Dataset:
    """Open a stored dataset without reading its arrays into memory.

    Args:
        path: What `store` returned.

    Returns:
        The dataset, its x and y mapped read-only, with name, number of classes, groups and digest as stored.

    Raises:
        DamagedStoreError: The files are missing, cannot be read, or have another size or form than `store` gave them.
    """
    with _telling_damage(path):
        about = _read_about(path)
        arrays = {file: _open_array(path / file, about["files"][file]) for file in (_X, _Y)}
        groups = _open_array(path / _GROUPS, about["files"][_GROUPS]) if _GROUPS in about["files"] else None
        x, y, n_classes = arrays[_X], arrays[_Y], about["n_classes"]
        return Dataset(
            x,
            y,
            name=about["name"],
            n_classes=n_classes,
            groups=groups,
            digest=about["digest"],
            feature_names=about.get("feature_names"),
        )


def check_stored(path: Path) -> None:
    """See that the files of a stored dataset have their sizes, without a look into them.

    Raises:
        DamagedStoreError: They have not.
    """
    with _telling_damage(path):
        for file, form in _read_about(path)["files"].items():
            _check_size(path / file, form)


@contextlib.contextmanager
def _telling_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever NumPy and others make of garbled bytes
        raise DamagedStoreError(
            f"the stored rows in {path} cannot be opened: {_why(error)}",
            "Expected x.npy, y.npy and dataset.json as they were stored.",
            "Run the same command again: they are then written anew from the dataset.",
        ) from error


class _Mismatch(Exception):
    """Something is not as it was written; a sentence says what."""


def _damage(path: Path, dataset: Dataset) -> str | None:
    """Return what is wrong with a stored dataset, in a sentence; None if nothing is.

    Nothing is known to be wrong with what was stored without checksums, by earlier versions: "".
    """
    try:
        about = _read_about(path)
        if "files" not in about:
            return ""
        for file, form in about["files"].items():
            _check_size(path / file, form)
            if _sha256(path / file) != form["sha256"]:
                return f"{file} has other bytes than it was written with."
        if _identity(about["name"], about["n_classes"], about["digest"]) != _identity(
            dataset.name, dataset.n_classes, dataset.digest
        ):
            return f"{_ABOUT} is of other rows."
        open_stored(path)
    except DamagedStoreError as error:
        return error.happened.partition("cannot be opened: ")[2]
    except Exception as error:  # as in `_telling_damage`
        return _why(error)
    return None


def _identity(name: str, n_classes: int | None, digest: str) -> tuple[str, int | None, str]:
    """Return what two datasets share that are stored in the same place."""
    return _as_file_name(name), n_classes, digest


def _as_file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def _read_about(path: Path) -> Mapping[str, Any]:
    try:
        about = json.loads((path / _ABOUT).read_bytes())
    except (ValueError, RecursionError) as error:
        raise _Mismatch(f"{_ABOUT} is no JSON any more.") from error
    if not isinstance(about, dict):
        raise _Mismatch(f"{_ABOUT} holds {type(about).__name__}.")
    return about


def _open_array(path: Path, form: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Map an array, or read it where it is none of the large ones, and see that it has the form it was written in."""
    _check_size(path, form)
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode=None if path.name == _GROUPS else "r", allow_pickle=False)
    except ValueError as error:
        raise _Mismatch(f"{path.name} holds no array any more.") from error
    if [array.dtype.str, *array.shape] != [form["dtype"], *form["shape"]]:
        raise _Mismatch(f"{path.name} has the dtype {array.dtype.str} and the shape {array.shape}.")
    return array


def _check_size(path: Path, form: Mapping[str, Any]) -> None:
    if (n_bytes := path.stat().st_size) != form["bytes"]:
        raise _Mismatch(f"{path.name} has {n_bytes:,} bytes; {form['bytes']:,} were written.")


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, _Mismatch) else f"{type(error).__name__}: {error}."


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:  # not mapped: what cannot be read is an error then, and does not end the process
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


@final
class _ArrayFile:
    """An .npy file that is written bit by bit, and known by its size and checksum when it is closed.

    Args:
        path: Where to.
        n: How many rows it is to have.
        rows: Some rows, or none, as those that it is to have.
    """

    def __init__(self, path: Path, n: int, rows: npt.NDArray[Any]) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._form: dict[str, Any] = {"dtype": rows.dtype.str, "shape": [n, *rows.shape[1:]]}
        npy: Any = np.lib.format  # untyped in some versions of NumPy
        header = {"descr": npy.dtype_to_descr(rows.dtype), "fortran_order": False, "shape": (n, *rows.shape[1:])}
        npy.write_array_header_1_0(self, header)

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)

    def form(self) -> dict[str, Any]:
        """Bring all of it to the disk, for a power cut may follow, and return what it was written as."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return {**self._form, "bytes": self._file.tell(), "sha256": self._digest.hexdigest()}

    def close(self) -> None:
        self._file.close()


def _write(dataset: Dataset, folder: Path) -> None:
    # Chunk by chunk, into plain files: a mapped file on a full disk would end the process with SIGBUS.
    no_x, no_y = dataset.take([])
    groups = dataset.groups
    with contextlib.ExitStack() as stack:

        def new(name: str, rows: npt.NDArray[Any]) -> _ArrayFile:
            return stack.enter_context(contextlib.closing(_ArrayFile(folder / name, len(dataset), rows)))

        files = {_X: new(_X, no_x), _Y: new(_Y, no_y)}
        for x, y in dataset.chunks():
            files[_X].write(x.tobytes())
            files[_Y].write(y.tobytes())
        if groups is not None:
            files[_GROUPS] = new(_GROUPS, groups)
            files[_GROUPS].write(groups.tobytes())
        forms = {name: file.form() for name, file in files.items()}
    about = {"name": dataset.name, "n_classes": dataset.n_classes, "digest": dataset.digest, "files": forms}
    _write_about({**about, "feature_names": dataset.feature_names}, folder / _ABOUT)


def _write_about(about: Mapping[str, Any], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(about, file)
        file.flush()
        os.fsync(file.fileno())


def _rename_columns(target: Path, dataset: Dataset) -> None:
    """Have the columns called as they are now: names are no part of what is trained on."""
    about = _read_about(target)
    if about.get("feature_names") == (dataset.feature_names and list(dataset.feature_names)):
        return
    beside = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    try:
        _write_about({**about, "feature_names": dataset.feature_names}, beside)
        os.replace(beside, target / _ABOUT)
    finally:
        beside.unlink(missing_ok=True)


def _move(partial: Path, target: Path) -> None:
    try:
        os.replace(partial, target)
    except OSError:
        # A folder does not replace one with files in it: another process was faster, with the same rows.
        if not target.is_dir():
            raise


def _replace_files(partial: Path, target: Path) -> None:
    """Move whole files into the place of damaged ones: the same rows make the same files, so any of them go together.

    The folder itself stays, for somebody may be about to open it.
    """
    for file in partial.iterdir():
        os.replace(file, target / file.name)
