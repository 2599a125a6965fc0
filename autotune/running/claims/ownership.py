"""The owner of each trial, and the locks that show at once whether a parent on this machine has died.

A parent holds a file lock that the kernel releases when the parent dies in any way. Parents on the same machine (under
the same kernel) with the same run dir see that at once. All others wait for the end of the lease: see `leases.py`.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock
import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.parsing import parsed_or_none

try:
    import fcntl
except ImportError:  # not POSIX
    fcntl = None  # type: ignore[assignment]  # reason: without it locks cannot be seen, and leases decide

_OURS = "autotune:ours"
_OWNER = "autotune:owner"
_CLAIMS = "claims.lock"
_POLL_S = 0.005  # a claim takes milliseconds
_PATIENCE_S = 3.0  # far more than the hundredths of a second that a claim takes on a loaded machine
_PARENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}-\d+-[0-9a-f]{8}")  # host, process id, random digits


@dataclass(frozen=True)
class Mark:
    """The stored name of the parent that runs a trial, or ran it last.

    Attributes:
        parent: The unique name of the parent.
        place: The boot, device and inode of the folder of its lock; the lock can be checked in this folder only.
        lock: The lock's file name, `PARENT.lock`.
    """

    parent: str
    place: str
    lock: str

    def __post_init__(self) -> None:
        if not _PARENT.fullmatch(self.parent) or self.lock != f"{self.parent}.lock":
            raise ValueError(f"{self.lock!r} is no lock of the parent {self.parent!r}")


def mark_of(trial: FrozenTrial) -> Mark | None:
    """Return the mark of a trial; None if the trial has no valid one, e.g. because another program ran it."""
    stored = trial.system_attrs.get(_OWNER)
    return parsed_or_none(Mark, stored)


def runner_of(trial: FrozenTrial) -> str:
    """Return the parent in a trial's mark, or a made-up name for a parent that died before it wrote its mark."""
    mark = mark_of(trial)
    return mark.parent if mark else f"unsigned trial {trial.number}"


def is_ours(trial: FrozenTrial) -> bool:
    """Tell whether this package created or claimed a trial."""
    return _OURS in trial.system_attrs or _OWNER in trial.system_attrs


def is_foreign(trial: FrozenTrial) -> bool:
    """Tell whether another program runs a trial, e.g. a plain `study.optimize`."""
    return trial.state == TrialState.RUNNING and not is_ours(trial)


def make_ours(storage: optuna.storages.BaseStorage, trial_id: int) -> None:
    """Store that a parent of this package is about to claim a trial, before the trial is RUNNING.

    The parent that wins the claim stores its own mark afterwards; the others must not write to the trial any more.
    """
    storage.set_trial_system_attr(trial_id, _OURS, True)


class Owner:
    """A parent's name and its lock, which it holds until `close` or its death.

    Args:
        folder: The folder with the locks of the study's parents: `RUN_DIR/NAME/workers`.

    Attributes:
        mark: The mark that it writes into its trials.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._slots = threading.Lock()
        self._claims = filelock.FileLock(folder / _CLAIMS, poll_interval=_POLL_S)
        self._patience_s = _PATIENCE_S
        name = f"{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._path = folder / f"{name}.lock"
        self._life = filelock.FileLock(self._path)
        self._life.acquire()
        self.mark = Mark(name, _place(folder), self._path.name)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep the other slots, and other parents with this run dir, from claiming trials during the block.

        If another parent holds the lock for too long (it is suspended, or waits for its storage), a parent waits for it
        once and then goes on without the lock, like parents on different machines: the storage decides who wins a
        trial.
        """
        with self._slots, contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._claims.acquire(timeout=self._patience_s))
                self._patience_s = _PATIENCE_S
            except filelock.Timeout:
                self._patience_s = 0.0
            yield

    def has_company(self) -> bool:
        """Tell whether other parents use this run dir. Parents that have died may count, too."""
        ours = {self._path.name, _CLAIMS}
        return any(path.name not in ours for path in self._path.parent.glob("*.lock"))

    def sign(self, storage: optuna.storages.BaseStorage, trial_id: int) -> None:
        """Store that this parent runs the trial."""
        storage.set_trial_system_attr(trial_id, _OWNER, asdict(self.mark))

    def new_trial(self) -> FrozenTrial:
        """Return a new trial that is RUNNING and has this parent's mark."""
        return optuna.trial.create_trial(state=TrialState.RUNNING, system_attrs={_OWNER: asdict(self.mark)})

    def unsign(self, storage: optuna.storages.BaseStorage, trial_id: int) -> None:
        """Store that no parent runs the trial, before it waits: the next one may die before it writes its mark."""
        storage.set_trial_system_attr(trial_id, _OWNER, None)

    def is_mine(self, trial: FrozenTrial) -> bool:
        """Tell whether this parent runs the trial, according to the storage."""
        return trial.state == TrialState.RUNNING and mark_of(trial) == self.mark

    def is_dead(self, trial: FrozenTrial) -> bool:
        """Tell whether the parent of this RUNNING trial is known to be dead."""
        mark = mark_of(trial)
        if mark is None or mark.place != self.mark.place or mark == self.mark:
            return False
        path = self._path.parent / mark.lock
        if fcntl is None:
            return _is_released(path)
        # Acquiring the lock instead would make other parents believe that its owner is alive.
        is_dead = lock_is_held(mark, path.parent) is False
        if is_dead:
            path.unlink(missing_ok=True)  # names of parents are unique, so nobody needs the file again
        return is_dead

    def close(self) -> None:
        """Release the lock, so that others see that this parent has ended."""
        self._life.release()
        self._path.unlink(missing_ok=True)


def lock_is_held(mark: Mark, folder: Path) -> bool | None:
    """Tell whether a parent is alive; None if its lock cannot be checked on this machine.

    This opens the lock file for reading only, does not create, change or remove it, and does not follow links.
    """
    if fcntl is None or not folder.is_dir() or mark.place != _place(folder):
        return None
    try:
        lock = os.open(folder / mark.lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:  # it is a link, or belongs to another user
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that two checks do not see each other
    except BlockingIOError:
        return True
    except OSError:
        return None
    else:
        return False
    finally:
        os.close(lock)  # releases the lock, too


def has_died_here(parent: str) -> bool:
    """Tell whether a parent ran on this machine, by its name, and its process has ended.

    For display only: two containers may have the same host name.
    """
    if not _PARENT.fullmatch(parent):
        return False
    host, process, _ = parent.rsplit("-", 2)
    if host != _host():
        return False
    try:
        os.kill(int(process), 0)  # only checks that the process exists
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # it belongs to another user
        return False
    return False


def _place(folder: Path) -> str:
    """Return a name for a folder that stays valid until this machine restarts, even if the folder is moved."""
    status = folder.stat()
    return f"{_boot()}/{status.st_dev}/{status.st_ino}"


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:100].lstrip(".-") or "host"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        return f"{socket.gethostname()}/{uuid.getnode()}"


def _is_released(path: Path) -> bool:
    """Tell whether a parent has ended, on systems without shared locks.

    If two processes check at once, one of them may see the other's lock and return False.
    """
    if not path.exists():
        return True
    try:
        with filelock.FileLock(path).acquire(blocking=False):
            path.unlink(missing_ok=True)
            return True
    except filelock.Timeout:
        return False
