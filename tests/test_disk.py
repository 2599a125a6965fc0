"""A full disk is recognised in whatever words it is said, and nothing else is taken for one."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections import namedtuple
from pathlib import Path

import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError

from autotune.disk import disk_full, telling_full_disk
from autotune.errors import DiskFullError, StorageError

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")
SQLITE_FULL = sqlite3.OperationalError("database or disk is full")


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    """Return `error` as it is caught, with what led to it."""
    try:
        raise error from cause
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    "error",
    [
        NO_SPACE,
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("Can't synchronously write data (errno = 28, error message = 'No space left on device')"),
        SQLITE_FULL,
        sqlalchemy.exc.OperationalError("INSERT ...", {}, SQLITE_FULL),
        raised(StorageInternalError(), sqlalchemy.exc.OperationalError("INSERT ...", {}, SQLITE_FULL)),
        raised(StorageError("the run dir cannot be written", "", ""), NO_SPACE),
        RuntimeError("could not extend file: No space left on device"),
    ],
    ids=lambda error: f"{type(error).__name__}: {error}"[:50],
)
def test_a_full_disk_is_recognised(error: Exception, tmp_path: Path) -> None:
    full = disk_full(error, tmp_path)
    assert isinstance(full, DiskFullError)
    assert str(tmp_path) in full.happened
    assert "run the same command again" in full.fix


def test_an_error_that_another_one_led_to_is_recognised(tmp_path: Path) -> None:
    def handle_badly() -> None:
        try:
            raise NO_SPACE
        except OSError:
            {}["a mistake in handling it"]

    with pytest.raises(KeyError) as caught:
        handle_badly()
    assert disk_full(caught.value, tmp_path) is not None


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EACCES, "Permission denied"),
        ValueError("full"),
        KeyboardInterrupt(),
        sqlite3.OperationalError("database is locked"),
        sqlite3.OperationalError("disk I/O error"),
        sqlite3.OperationalError("unable to open database file"),
    ],
    ids=repr,
)
def test_nothing_else_is_taken_for_a_full_disk(error: BaseException, tmp_path: Path) -> None:
    assert disk_full(error, tmp_path) is None


def test_what_sqlite_says_at_other_times_too_counts_where_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(4096))
    assert disk_full(sqlite3.OperationalError("disk I/O error"), tmp_path / "not" / "yet") is not None


def test_the_folder_is_that_of_the_file_or_the_one_with_least_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0 if path == other else 10**9))
    named = disk_full(OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "file")), one, other)
    nameless = disk_full(NO_SPACE, one, other)
    nowhere = disk_full(NO_SPACE)
    assert named is not None
    assert named.happened.endswith(f"in {tmp_path}.")
    assert nameless is not None
    assert nameless.happened.endswith(f"in {other}.")
    assert nowhere is not None
    assert "None" not in nowhere.happened


def test_other_errors_pass_untouched(tmp_path: Path) -> None:
    error = ValueError("something else")
    with pytest.raises(ValueError, match="something else") as caught, telling_full_disk(tmp_path):
        raise error
    assert caught.value is error


def test_a_full_disk_is_told_once_however_many_borders_it_crosses(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError) as caught, telling_full_disk(tmp_path / "outer"), telling_full_disk(tmp_path):
        raise NO_SPACE
    assert caught.value.happened.endswith(f"in {tmp_path}.")
    assert caught.value.__cause__ is NO_SPACE


def test_an_error_whose_text_cannot_be_shown_says_nothing_of_disks(tmp_path: Path) -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    error = SilentError()
    error.__cause__ = NO_SPACE
    assert disk_full(SilentError(), tmp_path) is None
    assert disk_full(error, tmp_path) is not None
