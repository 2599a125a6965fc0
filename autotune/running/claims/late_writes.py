"""A thread that writes the reports of trials, so that no epoch waits for the storage.

The parent knows the reports of its trials before they are written, and decides by them; so results do not change. The
thread writes in the order of the calls, and the end of a trial is written after everything before it.

What is covered: a storage that is locked or unreachable for a while; a parent that is killed before a report is
written. A Keras trial then reports it again from its checkpoint, and a plain objective starts again. What is not
covered: a storage that is unreachable for longer than the lease. Then trials wait, because other parents may have
taken them over.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from optuna.exceptions import UpdateFinishedTrialError

_MOST = 1000  # writes; each takes a few hundred bytes of memory


class LateWrites:
    """Writes to the trials of one parent, for its slots.

    Args:
        is_ours: Tells whether this parent still owns the trial with this id.
        most: How many writes may wait; `write` blocks while there are as many.
    """

    def __init__(self, is_ours: Callable[[int], bool], most: int = _MOST) -> None:
        self._is_ours = is_ours
        self._most = most
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._is_writing = False
        self._lost: set[int] = set()  # trials that another parent has ended or taken over
        self._error: Exception | None = None

    def write(self, trial_id: int, write: Callable[[], None]) -> None:
        """Call `write`, which writes to a trial, soon in the thread.

        Raises:
            UpdateFinishedTrialError: If an earlier write has found that another parent owns the trial now.
            Exception: The error of an earlier write to any trial.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < self._most or self._error is not None)
            self._raise(trial_id)
            if not self._is_writing:
                threading.Thread(target=self._work, name="autotune-write", daemon=True).start()
                self._is_writing = True
            self._waiting.append((trial_id, write))

    def settle(self, trial_id: int) -> None:
        """Wait until all writes to a trial are done.

        Raises:
            Exception: As `write` does.
        """
        with self._changed:
            self._changed.wait_for(lambda: all(one != trial_id for one, _ in self._waiting))
            self._raise(trial_id)

    def forget(self, trial_id: int) -> None:
        """Forget that another parent owned a trial, because this parent claims it again."""
        with self._changed:
            self._lost.discard(trial_id)

    def _raise(self, trial_id: int) -> None:
        if self._error is not None:
            raise self._error
        if trial_id in self._lost:
            raise UpdateFinishedTrialError(f"Another parent owns the trial with the id {trial_id} now.")

    def _work(self) -> None:
        while (first := self._first()) is not None:
            trial_id, write = first
            try:
                is_ours = self._is_ours(trial_id)
                if is_ours:
                    write()
            except UpdateFinishedTrialError:
                is_ours = False
            except Exception as error:  # the next `write` or `settle` raises it in a slot
                self._fail(error)
                continue
            self._take_off(trial_id, is_ours)

    def _first(self) -> tuple[int, Callable[[], None]] | None:
        with self._changed:
            self._is_writing = bool(self._waiting)
            return self._waiting[0] if self._waiting else None

    def _take_off(self, trial_id: int, is_ours: bool) -> None:
        """Remove the first write from the queue; if the trial is not ours any more, remove all writes to it."""
        with self._changed:
            self._waiting.popleft()
            if not is_ours:
                self._lost.add(trial_id)
                self._waiting = deque(one for one in self._waiting if one[0] != trial_id)
            self._changed.notify_all()

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._error = error
            self._waiting.clear()
            self._changed.notify_all()
