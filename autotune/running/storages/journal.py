"""Optuna's journal file, which a process that dies cannot leave locked or damaged."""

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

_GRACE_S = 30  # Optuna's default, because other programs may write this file, too; a line takes milliseconds


def open_journal(path: Path, grace_s: int = _GRACE_S, saves: bool = False) -> JournalStorage:
    """Open a journal file, creating it if it is new.

    Args:
        path: The file, absolute.
        grace_s: The seconds after which the lock of a dead process is removed.
        saves: Whether the content is saved if the file is deleted, moved or replaced.

    Raises:
        FileNotFoundError: If its folder does not exist.
        ValueError: If it is not a journal.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}")
    try:
        lock: Any = _MendingLock(path, grace_s)  # Optuna's base class of locks is private, and has just its two methods
        return _ClaimingJournal(_WatchedBackend(path, lock, saves))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise ValueError(f"it is not a journal of Optuna's ({type(error).__name__}: {error})") from None


class _WatchedBackend(JournalFileBackend):
    """Optuna's file, with a check at each read and write that it is still the file that was opened."""

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
        self._watched.check()  # raises if the lines were written to another file, and so are lost

    @contextlib.contextmanager
    def _still_there(self) -> Iterator[None]:
        """Raise a `StorageLostError` in place of other errors in the block if the file is lost, maybe with its lock."""
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
    """Optuna's lock, which also removes an incomplete last line, left by a process that died while it wrote.

    Optuna would append the next line directly to it, and could never read the file again.

    Measured after the lock's holder was killed: this lock (`open` with O_EXCL) is free after the grace period for any
    path. Optuna's default, a symbolic link, stays locked for ever, and waits busily, if the path is relative. A kernel
    lock would be free at once, but programs that use Optuna directly, and some network file systems, would ignore it.
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
    """A journal in which only one thread can claim a trial, even if the trial was put back before.

    Optuna confirms a claim if the trial is the last one that this thread has claimed. That is wrong if the thread has
    put it back and another process has claimed it since. So this class first forgets the last claim.
    """

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        if state == TrialState.RUNNING:
            with self._thread_lock:
                self._replay_result._worker_id_to_owned_trial_id.pop(self._replay_result.worker_id, None)
        return super().set_trial_state_values(trial_id, state, values)
