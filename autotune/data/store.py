"""Datasets stored on disk, which trial processes map into memory instead of each holding a copy.

A file may differ from what was written: a power cut may tear or zero it, and somebody may truncate or edit it. Sizes
and shapes are checked at every opening, which costs nothing; `store` checks all bytes once in each run.
What is not covered: bytes that change during a run without changing the size; the next run finds them.
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
    """Write a dataset to disk, unless an undamaged copy is there already.

    The files are written to a temporary folder, which is moved into place when it is complete. So nobody sees half a
    dataset, and two processes can store the same data at once. Damaged files are replaced one by one; processes that
    have them open keep the old ones.

    Args:
        dataset: The dataset; a subset is stored with its own rows only.
        folder: The parent folder; created if missing.
        tell: Called with a sentence or two about the damage, if some was found.

    Returns:
        `folder/NAME-DIGEST`, for `open_stored`; it holds x.npy, y.npy, dataset.json and, if there are groups,
        groups.npy.

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
            f"the stored rows in {target} had changed since they were written: {damage} They were written again from "
            "the dataset. Trials that trained on the damaged rows may be wrong. Check one with `autotune replay NAME "
            "--trial N`."
        )
    return target


def open_stored(path: Path) -> Dataset:
    """Open a stored dataset without reading its arrays into memory.

    Args:
        path: The folder that `store` returned.

    Returns:
        The dataset, its x and y mapped read-only, with name, number of classes, groups and digest as stored.

    Raises:
        DamagedStoreError: The files are missing, cannot be read, or have another size, dtype or shape than was written.
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
    """Check the sizes of the files of a stored dataset, without reading them.

    Raises:
        DamagedStoreError: A file is missing or has another size than was written.
    """
    with _telling_damage(path):
        for file, form in _read_about(path)["files"].items():
            _check_size(path / file, form)


@contextlib.contextmanager
def _telling_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # NumPy may raise any error on damaged bytes
        raise DamagedStoreError(
            f"the stored rows in {path} cannot be opened: {_why(error)}",
            "Expected x.npy, y.npy and dataset.json as they were stored.",
            "Run the same command again: it writes them again from the dataset.",
        ) from error


class _Mismatch(Exception):
    """A file differs from what was written; the message is a sentence that says how."""


def _damage(path: Path, dataset: Dataset) -> str | None:
    """Return a sentence on the damage of a stored dataset; None if it is undamaged.

    Earlier versions stored no checksums: then the result is "", and the files are written again without a message.
    """
    try:
        about = _read_about(path)
        if "files" not in about:
            return ""
        for file, form in about["files"].items():
            _check_size(path / file, form)
            if _sha256(path / file) != form["sha256"]:
                return f"{file} has other bytes than were written."
        if _identity(about["name"], about["n_classes"], about["digest"]) != _identity(
            dataset.name, dataset.n_classes, dataset.digest
        ):
            return f"{_ABOUT} describes other rows."
        open_stored(path)
    except DamagedStoreError as error:
        return error.happened.partition("cannot be opened: ")[2]
    except Exception as error:  # as in `_telling_damage`
        return _why(error)
    return None


def _identity(name: str, n_classes: int | None, digest: str) -> tuple[str, int | None, str]:
    """Return the values that are equal for two datasets exactly if they are stored in the same folder."""
    return _as_file_name(name), n_classes, digest


def _as_file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def _read_about(path: Path) -> Mapping[str, Any]:
    try:
        about = json.loads((path / _ABOUT).read_bytes())
    except (ValueError, RecursionError) as error:
        raise _Mismatch(f"{_ABOUT} is not valid JSON.") from error
    if not isinstance(about, dict):
        raise _Mismatch(f"{_ABOUT} holds {type(about).__name__}.")
    return about


def _open_array(path: Path, form: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Map an array (groups are small and are read), and check that it has the dtype and shape that were written."""
    _check_size(path, form)
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode=None if path.name == _GROUPS else "r", allow_pickle=False)
    except ValueError as error:
        raise _Mismatch(f"{path.name} is not a valid array.") from error
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
    with path.open("rb") as file:  # read, not mapped: an unreadable mapped page would end the process
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


@final
class _ArrayFile:
    """An .npy file that is written in chunks, and that computes its own size and checksum.

    Args:
        path: The file to write.
        n: The number of rows that will be written.
        rows: Any number of rows, for their dtype and shape.
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
        """Sync the file to disk, against a power cut, and return its dtype, shape, size and checksum."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return {**self._form, "bytes": self._file.tell(), "sha256": self._digest.hexdigest()}

    def close(self) -> None:
        self._file.close()


def _write(dataset: Dataset, folder: Path) -> None:
    # In chunks, into plain files: writing to a mapped file on a full disk would end the process with SIGBUS.
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
    """Replace the stored names of columns by those of the dataset; names do not change what a network learns."""
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
        # A folder cannot replace one with files in it: another process has stored the same rows first.
        if not target.is_dir():
            raise


def _replace_files(partial: Path, target: Path) -> None:
    """Replace damaged files one by one; any mix of old and new files fits, as the same rows make the same files.

    The folder itself stays, because another process may be about to open it.
    """
    for file in partial.iterdir():
        os.replace(file, target / file.name)
