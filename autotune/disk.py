"""Recognise errors that come from a full disk: from Python, SQLite, HDF5, TensorFlow and database servers."""

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
# SQLite's own message, and the text of an OSError that HDF5, TensorFlow and database servers repeat in their messages.
_WORDS = ("database or disk is full", *map(os.strerror, _FULL))
# SQLite says this when there is no room for the index of its write-ahead log, but for other reasons too.
_PERHAPS = ("disk I/O error", "unable to open database file")
_NO_ROOM_BYTES = 1 << 20


def disk_full(error: BaseException, *folders: Path) -> DiskFullError | None:
    """Return the `DiskFullError` to raise in place of `error`; None if neither it nor its causes report a full disk.

    Args:
        error: Any error.
        folders: The folders that were written to. They are named if the error itself names no file, and their free
            space decides about messages that may have other reasons.
    """
    for cause in causes(error):
        if isinstance(cause, DiskFullError):
            return cause
        if _reports_full(cause) or (_may_report_full(cause) and any(_free(one) < _NO_ROOM_BYTES for one in folders)):
            return _disk_full_error(cause, folders)
    return None


@contextlib.contextmanager
def telling_full_disk(*folders: Path) -> Iterator[None]:
    """Turn errors that come from a full disk into a `DiskFullError`, as `disk_full` recognises them."""
    try:
        yield
    except Exception as error:
        full = disk_full(error, *folders)
        if full is None or full is error:
            raise
        raise full from error


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and the errors that it was raised from or during, each once."""
    seen: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        cause = left.pop()
        if cause is None or any(cause is known for known in seen):
            continue
        seen.append(cause)
        yield cause
        left += [None if cause.__suppress_context__ else cause.__context__, cause.__cause__]


def _reports_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(words in message_of(error) for words in _WORDS)


def _may_report_full(error: BaseException) -> bool:
    return any(words in message_of(error) for words in _PERHAPS)


def _disk_full_error(cause: BaseException, folders: tuple[Path, ...]) -> DiskFullError:
    name = getattr(cause, "filename", None)
    if isinstance(name, (str, Path)):
        where = f" in {Path(name).absolute().parent}"
    elif folders:
        where = f" in {min(folders, key=_free)}"
    else:
        where = ""
    return DiskFullError(
        f"the disk is full: nothing more can be written{where}.",
        "A study needs room for its data, records, checkpoints, logs and models.",
        "Make room there and run the same command again: what was finished is kept.",
    )


def _free(folder: Path) -> int:
    """Return how many bytes are free in `folder`, or in its nearest parent that exists."""
    existing = next((place for place in (folder, *folder.absolute().parents) if place.is_dir()), None)
    if existing is None:
        return _NO_ROOM_BYTES
    if hasattr(os, "statvfs"):
        files = os.statvfs(existing)
        if files.f_files and not files.f_favail:  # some file systems do not count files
            return 0
    return shutil.disk_usage(existing).free
