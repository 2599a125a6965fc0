"""Optuna's journal file, opened so that no process that dies can leave it locked or torn."""

from __future__ import annotations

import contextlib
import os
import shutil
import weakref
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from autotune.running.storages.watched_file import WatchedFile

_GRACE_S = 30  # a line is written in milliseconds; Optuna's own default, and other programs may write this file, too


def open_journal(path: Path, grace_s: int = _GRACE_S, saves: bool = False) -> JournalStorage:
    """Open a journal file, creating it if it is new.

    Args:
        path: The file, absolute.
        grace_s: After how long the lock of a process that has died is taken from it.
        saves: Whether what is in the file is saved if the file is deleted, moved or replaced.

    Raises:
        FileNotFoundError: If its folder is not there.
        ValueError: If it is something else than a journal.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}")
    try:
        lock: Any = _MendingLock(path, grace_s)  # Optuna's base class of locks is private, and has just its two methods
        return _ClaimingJournal(_WatchedBackend(path, lock, saves))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise ValueError(f"it is not a journal of Optuna's ({type(error).__name__}: {error})") from None


class _WatchedBackend(JournalFileBackend):
    """Optuna's file, which must still be the one that was opened whenever it is read or written."""

    def __init__(self, path: Path, lock: Any, saves: bool) -> None:
        super().__init__(str(path), lock)
        self._opened = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._opened)
        self._watched = WatchedFile(path, (), lambda saved: f"journal:///{saved}", self._save if saves else None)

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        with self._still_there():
            yield from super().read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self._still_there():
            super().append_logs(logs)
        self._watched.check()  # what was written to another file is lost, and whoever wrote it has to know

    @contextlib.contextmanager
    def _still_there(self) -> Iterator[None]:
        """Say that the file is lost where it is, before or while it is used; its lock is lost with its folder."""
        self._watched.check()
        try:
            yield
        except (OSError, RuntimeError):
            self._watched.check()
            raise

    def _save(self, path: Path) -> None:
        with os.fdopen(os.dup(self._opened), "rb") as opened, path.open("wb") as saved:
            opened.seek(0)
            shutil.copyfileobj(opened, saved)


class _MendingLock:
    """Optuna's lock, which also removes what a process has begun to write that died before the end of the line.

    Optuna would put the next line right behind it and then refuse to read the file for ever.

    Measured with a holder that was killed: this lock (`open` with O_EXCL) is free after the grace period, whatever the
    path. Optuna's default, a symbolic link, is stuck for ever and spins if the path is relative. A lock of the kernel's
    would be free at once, but programs that use Optuna alone would not respect it, nor would some network file systems.
    """

    def __init__(self, path: Path, grace_s: int) -> None:
        self._path = path
        self._lock = JournalFileOpenLock(str(path), grace_s)

    def acquire(self) -> bool:
        self._lock.acquire()
        try:
            _remove_torn_line(self._path)
        except BaseException:
            self._lock.release()
            raise
        return True

    def release(self) -> None:
        self._lock.release()


def _remove_torn_line(path: Path) -> None:
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0 or _byte_before(file.fileno(), size) == b"\n":
            return
        while size > 0 and _byte_before(file.fileno(), size) != b"\n":
            size -= 1
        file.truncate(size)


def _byte_before(descriptor: int, position: int) -> bytes:
    return os.pread(descriptor, 1, position - 1)


class _ClaimingJournal(JournalStorage):
    """A journal in which one trial is claimed by one thread only, however often it was put back.

    Optuna answers "yes" where the trial is the last that this thread has claimed. That is wrong if the thread has put
    it back, and another process was quicker to claim it again: so what was claimed before is forgotten first.
    """

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        if state == TrialState.RUNNING:
            with self._thread_lock:
                self._replay_result._worker_id_to_owned_trial_id.pop(self._replay_result.worker_id, None)
        return super().set_trial_state_values(trial_id, state, values)
