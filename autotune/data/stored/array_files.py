"""Arrays in .npy files, with the size and the checksum that they were written with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

_READ_BYTES = 2**22


class Mismatch(Exception):
    """A file differs from what was written; the message is a sentence that says how."""


@final
class ArrayFile:
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
        """Append bytes."""
        self._digest.update(data)
        self._file.write(data)

    def form(self) -> dict[str, Any]:
        """Sync the file to disk, against a power cut, and return its dtype, shape, size and checksum."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return {**self._form, "bytes": self._file.tell(), "sha256": self._digest.hexdigest()}

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_array(path: Path, form: Mapping[str, Any], mapped: bool) -> npt.NDArray[Any]:
    """Map an array read-only, or read a small one, and check that it has the dtype and shape that were written.

    Raises:
        Mismatch: It has another size, dtype or shape.
        OSError: The file is missing or cannot be read.
    """
    check_size(path, form)
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except ValueError as error:
        raise Mismatch(f"{path.name} is not a valid array.") from error
    if [array.dtype.str, *array.shape] != [form["dtype"], *form["shape"]]:
        raise Mismatch(f"{path.name} has the dtype {array.dtype.str} and the shape {array.shape}.")
    return array


def check_size(path: Path, form: Mapping[str, Any]) -> None:
    """Check that a file has the size that was written.

    Raises:
        Mismatch: It has another one.
        OSError: It is missing.
    """
    if (n_bytes := path.stat().st_size) != form["bytes"]:
        raise Mismatch(f"{path.name} has {n_bytes:,} bytes; {form['bytes']:,} were written.")


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:  # read, not mapped: an unreadable mapped page would end the process
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
