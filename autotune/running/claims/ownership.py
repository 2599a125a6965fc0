"""Who runs which trial, and who of them is known to be dead at once, because it was on this machine.

A parent holds a lock that the kernel releases when it dies, however it dies. Parents that share the run dir on one
machine (one kernel) see that at once. Of all others the lease tells, after a while: see `leases.py`.
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
    fcntl = None  # type: ignore[assignment]  # reason: whoever only looks there sees no locks, and asks the leases

_OURS = "autotune:ours"
_OWNER = "autotune:owner"
_CLAIMS = "claims.lock"
_POLL_S = 0.005  # a claim takes milliseconds
_PATIENCE_S = 3.0  # a claim takes some hundredths of a second
_PARENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}-\d+-[0-9a-f]{8}")  # host, process, chance


@dataclass(frozen=True)
class Mark:
    """What a trial says of the parent that runs it, or ran it last.

    Attributes:
        parent: The parent, a name that no other has.
        place: The folder of its lock, on its machine since it was started: nobody else can see that lock.
        lock: The lock's file name, which follows from the parent's.
    """

    parent: str
    place: str
    lock: str

    def __post_init__(self) -> None:
        if not _PARENT.fullmatch(self.parent) or self.lock != f"{self.parent}.lock":
            raise ValueError(f"{self.lock!r} is no lock of the parent {self.parent!r}")


def mark_of(trial: FrozenTrial) -> Mark | None:
    """Return the mark in a trial; None if it was never run by this package, or the mark is none of its own."""
    stored = trial.system_attrs.get(_OWNER)
    return parsed_or_none(Mark, stored)


def runner_of(trial: FrozenTrial) -> str:
    """Return the parent that a trial is marked with, or a name for one that died before it could sign."""
    mark = mark_of(trial)
    return mark.parent if mark else f"unsigned trial {trial.number}"


def is_ours(trial: FrozenTrial) -> bool:
    """Say whether a trial was made or claimed by this package."""
    return _OURS in trial.system_attrs or _OWNER in trial.system_attrs


def is_foreign(trial: FrozenTrial) -> bool:
    """Say whether a trial is run by something else than this package, say a plain `study.optimize`."""
    return trial.state == TrialState.RUNNING and not is_ours(trial)


def make_ours(storage: optuna.storages.BaseStorage, trial_id: int) -> None:
    """Write down that a trial is about to be claimed by this package, before it is RUNNING.

    Whose it is is written down by who has won it, afterwards: who has not must not write there any more.
    """
    storage.set_trial_system_attr(trial_id, _OURS, True)


class Owner:
    """A parent's name and its lock, from its making to its release or its death.

    Args:
        folder: Where the parents of a study keep their locks: `RUN_DIR/NAME/workers`.

    Attributes:
        mark: What its trials say of it.
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
        """Keep the other slots, and the other parents of this run dir, from claiming trials for a moment.

        A parent that is stopped, or waits for its storage, may keep the others out. They wait for it once, and then go
        on as parents of different machines do, who have no lock in common: the storage decides who wins a trial.
        """
        with self._slots, contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._claims.acquire(timeout=self._patience_s))
                self._patience_s = _PATIENCE_S
            except filelock.Timeout:
                self._patience_s = 0.0
            yield

    def has_company(self) -> bool:
        """Say whether other parents may share this run dir. Those that have died may count, too."""
        ours = {self._path.name, _CLAIMS}
        return any(path.name not in ours for path in self._path.parent.glob("*.lock"))

    def sign(self, storage: optuna.storages.BaseStorage, trial_id: int) -> None:
        """Write down that this parent runs the trial."""
        storage.set_trial_system_attr(trial_id, _OWNER, asdict(self.mark))

    def new_trial(self) -> FrozenTrial:
        """Return a trial that this parent runs from its first moment."""
        return optuna.trial.create_trial(state=TrialState.RUNNING, system_attrs={_OWNER: asdict(self.mark)})

    def unsign(self, storage: optuna.storages.BaseStorage, trial_id: int) -> None:
        """Write down that nobody runs the trial, before it waits: who takes it next may die before signing it."""
        storage.set_trial_system_attr(trial_id, _OWNER, None)

    def is_mine(self, trial: FrozenTrial) -> bool:
        """Say whether this parent runs the trial, as far as the storage knows."""
        return trial.state == TrialState.RUNNING and mark_of(trial) == self.mark

    def is_dead(self, trial: FrozenTrial) -> bool:
        """Say whether who runs this RUNNING trial is known to be dead."""
        mark = mark_of(trial)
        if mark is None or mark.place != self.mark.place or mark == self.mark:
            return False
        path = self._path.parent / mark.lock
        if fcntl is None:
            return _is_released(path)
        is_dead = (
            lock_is_held(mark, path.parent) is False
        )  # a lock that was taken to see that would hide it from others
        if is_dead:
            path.unlink(missing_ok=True)  # no other parent has its name
        return is_dead

    def close(self) -> None:
        """End this sign of life."""
        self._life.release()
        self._path.unlink(missing_ok=True)


def lock_is_held(mark: Mark, folder: Path) -> bool | None:
    """Say whether a parent lives, and change nothing; None if its lock cannot be seen from here.

    The file is opened to be read, and never made, emptied or removed; a link is not followed.
    """
    if fcntl is None or not folder.is_dir() or mark.place != _place(folder):
        return None
    try:
        lock = os.open(folder / mark.lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:  # a link, or another user's
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look at once do not see each other
    except BlockingIOError:
        return True
    except OSError:
        return None
    else:
        return False
    finally:
        os.close(lock)  # and with it the lock


def has_died_here(parent: str) -> bool:
    """Say whether a parent has run on this machine, by its name, and is no process any more.

    Good enough for people only: two containers may have one name.
    """
    if not _PARENT.fullmatch(parent):
        return False
    host, process, _ = parent.rsplit("-", 2)
    if host != _host():
        return False
    try:
        os.kill(int(process), 0)  # sends nothing
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # another user's
        return False
    return False


def _place(folder: Path) -> str:
    """Return a name for a folder that holds on this machine until it is started anew, wherever it is moved to."""
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
    """Say whether a parent has ended, where locks cannot be shared: of two who look at once, one may not see it."""
    if not path.exists():
        return True
    try:
        with filelock.FileLock(path).acquire(blocking=False):
            path.unlink(missing_ok=True)
            return True
    except filelock.Timeout:
        return False
