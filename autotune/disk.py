"""Whether an error comes from a full disk: the one place that knows all the ways in which that is said."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from autotune.errors import DiskFullError
from autotune.failures import message_of

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
# What SQLite says, and what is left of an OSError in the texts of HDF5, TensorFlow and database servers.
_WORDS = ("database or disk is full", *map(os.strerror, _FULL))
# What SQLite says when it finds no room for the index of its write-ahead log, and at other times too.
_PERHAPS = ("disk I/O error", "unable to open database file")
_NO_ROOM_BYTES = 1 << 20


def disk_full(error: BaseException, *folders: Path) -> DiskFullError | None:
    """Return what to raise in place of `error` if it, or an error that led to it, says that a disk is full.

    Args:
        error: Any error.
        folders: Where files were written, if the error itself does not say.
    """
    for cause in causes(error):
        if isinstance(cause, DiskFullError):
            return cause
        if _says_so(cause) or (_may_say_so(cause) and any(_room(folder) < _NO_ROOM_BYTES for folder in folders)):
            return _disk_full_error(cause, folders)
    return None


@contextlib.contextmanager
def telling_full_disk(*folders: Path) -> Iterator[None]:
    """Raise errors that come from a full disk as a `DiskFullError`; see `disk_full`."""
    try:
        yield
    except Exception as error:
        full = disk_full(error, *folders)
        if full is None or full is error:
            raise
        raise full from error


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what led to it, each once."""
    seen: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        cause = left.pop()
        if cause is None or any(cause is known for known in seen):
            continue
        seen.append(cause)
        yield cause
        left += [None if cause.__suppress_context__ else cause.__context__, cause.__cause__]


def _says_so(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(words in message_of(error) for words in _WORDS)


def _may_say_so(error: BaseException) -> bool:
    return any(words in message_of(error) for words in _PERHAPS)


def _disk_full_error(cause: BaseException, folders: tuple[Path, ...]) -> DiskFullError:
    name = getattr(cause, "filename", None)
    if isinstance(name, (str, Path)):
        where = f" in {Path(name).absolute().parent}"
    elif folders:
        where = f" in {min(folders, key=_room)}"
    else:
        where = ""
    return DiskFullError(
        f"the disk is full: nothing more can be written{where}.",
        "A study writes its data, records, checkpoints, logs and models as it goes on.",
        "Make room there and run the same command again: what was finished is kept.",
    )


def _room(folder: Path) -> int:
    """Return how many bytes can be written in `folder`, or where it is to be made."""
    existing = next((place for place in (folder, *folder.absolute().parents) if place.is_dir()), None)
    if existing is None:
        return _NO_ROOM_BYTES
    if hasattr(os, "statvfs"):
        files = os.statvfs(existing)
        if files.f_files and not files.f_favail:  # some file systems do not count files
            return 0
    return shutil.disk_usage(existing).free
