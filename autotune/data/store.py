"""Datasets on disk, where trial processes map them instead of each holding a copy."""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from autotune.data.dataset import Dataset
from autotune.errors import DataError

_GROUPS = "groups.npy"


def store(dataset: Dataset, folder: Path) -> Path:
    """Write a dataset to disk, unless it is there already.

    It is written beside its place and moved there when complete: nobody sees half of it, and of two processes
    that store the same data at once both succeed.

    Args:
        dataset: What to store; a subset is stored with its own rows only.
        folder: Where to; made when missing.

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
    target = folder / f"{re.sub(r'[^A-Za-z0-9_-]+', '-', dataset.name)}-{dataset.digest[:12]}"
    if target.is_dir():
        return target
    partial = folder / f".{target.name}.{uuid.uuid4().hex}"
    partial.mkdir(parents=True)
    try:
        _write(dataset, partial)
        _move(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def open_stored(path: Path) -> Dataset:
    """Open a stored dataset without reading its arrays into memory.

    Args:
        path: What `store` returned.

    Returns:
        The dataset, its x and y mapped read-only, with name, number of classes, groups and digest as stored.

    Raises:
        DataError: The files are not what `store` wrote.
        OSError: The files are missing or cannot be read.
    """
    try:
        about = json.loads((path / "dataset.json").read_text(encoding="utf-8"))
        x = np.load(path / "x.npy", mmap_mode="r", allow_pickle=False)
        y = np.load(path / "y.npy", mmap_mode="r", allow_pickle=False)
        has_groups = (path / _GROUPS).exists()
        groups = np.load(path / _GROUPS, allow_pickle=False) if has_groups else None
        return Dataset(x, y, name=about["name"], n_classes=about["n_classes"], groups=groups, digest=about["digest"])
    except (ValueError, EOFError, KeyError, TypeError) as error:
        raise DataError(
            f"the stored dataset {path} cannot be opened: {type(error).__name__}: {error}",
            "Expected x.npy, y.npy and dataset.json as they were stored.",
            "Remove that folder and start again: it is then written anew.",
        ) from error


def _write(dataset: Dataset, folder: Path) -> None:
    # Chunk by chunk, into plain files: a mapped file on a full disk would end the process with SIGBUS.
    no_x, no_y = dataset.take([])
    with open(folder / "x.npy", "wb") as x_file, open(folder / "y.npy", "wb") as y_file:
        _write_header(x_file, len(dataset), no_x)
        _write_header(y_file, len(dataset), no_y)
        for x, y in dataset.chunks():
            x_file.write(x.tobytes())
            y_file.write(y.tobytes())
    if dataset.groups is not None:
        np.save(folder / _GROUPS, dataset.groups)
    about = {"name": dataset.name, "n_classes": dataset.n_classes, "digest": dataset.digest}
    (folder / "dataset.json").write_text(json.dumps(about), encoding="utf-8")


def _write_header(file: IO[bytes], n: int, rows: npt.NDArray[Any]) -> None:
    npy: Any = np.lib.format  # untyped in some versions of NumPy
    descr = npy.dtype_to_descr(rows.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": (n, *rows.shape[1:])}
    npy.write_array_header_1_0(file, header)


def _move(partial: Path, target: Path) -> None:
    try:
        os.replace(partial, target)
    except OSError:
        # A folder does not replace one with files in it: another process was faster, with the same rows.
        if not target.is_dir():
            raise
