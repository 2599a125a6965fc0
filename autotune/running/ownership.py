"""Who runs which trial, and whether they are still alive.

What is covered: any number of parents that share a run dir. Each holds a lock that the kernel releases when it dies,
however it dies. What is not covered: parents on other machines whose run dir cannot be seen from here; they count as
alive.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import filelock
import optuna
from optuna.trial import TrialState

_OWNER = "autotune:owner"


class Owner:
    """A parent's sign of life, from its making to its release or its death.

    Args:
        folder: Where the parents of a study keep their locks: `RUN_DIR/NAME/workers`.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._slots = threading.Lock()
        self._claims = filelock.FileLock(folder / "claims.lock")
        self._path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.lock"
        self._life = filelock.FileLock(self._path)
        self._life.acquire()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep the other slots, and the other parents of this run dir, from claiming trials for a moment."""
        with self._slots, self._claims:
            yield

    def claim(self, storage: optuna.storages.BaseStorage, trial_id: int) -> None:
        """Write down that this parent runs the trial."""
        storage.set_trial_system_attr(trial_id, _OWNER, {"host": socket.gethostname(), "lock": str(self._path)})

    def is_dead(self, trial: optuna.trial.FrozenTrial) -> bool:
        """Say whether nobody runs this RUNNING trial any more. Call it while `alone`."""
        owner: Mapping[str, str] | None = trial.system_attrs.get(_OWNER)
        if owner is None or owner["lock"] == str(self._path):
            return False
        lock = Path(owner["lock"])
        if not lock.exists():  # its run dir was moved, or is on another machine
            return owner["host"] == socket.gethostname()
        return _is_released(lock)

    def close(self) -> None:
        """End this sign of life."""
        self._life.release()
        self._path.unlink(missing_ok=True)


def is_foreign(trial: optuna.trial.FrozenTrial) -> bool:
    """Say whether a trial is run by something else than this package."""
    return trial.state == TrialState.RUNNING and _OWNER not in trial.system_attrs


def living_owners(trials: list[optuna.trial.FrozenTrial]) -> set[str]:
    """Return the parents on this machine that are alive and run one of `trials`, without disturbing them."""
    owners = [t.system_attrs.get(_OWNER) for t in trials if t.state == TrialState.RUNNING]
    return {o["lock"] for o in owners if o and not _is_released(Path(o["lock"]))}


def _is_released(path: Path) -> bool:
    if not path.exists():
        return True
    try:
        with filelock.FileLock(path).acquire(blocking=False):
            path.unlink(missing_ok=True)
            return True
    except filelock.Timeout:
        return False
