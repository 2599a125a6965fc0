"""What trials report is written by a thread beside, so that no epoch waits for a storage that is locked or away.

The parent knows what its trials have reported, and decides by that: results are the same. Writes come to the storage
in the order in which they were asked for. A trial's end is written after all that came before it.

What is covered: a parent that is killed loses reports that are not written yet; a Keras trial reports them again, from
its checkpoint, and a plain objective begins anew. What is not: a storage that is away for longer than the lease. Then
trials wait, since others may have taken them over.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from optuna.exceptions import UpdateFinishedTrialError

_MOST = 1000  # a few hundred bytes each


class LateWrites:
    """Writes to the trials of one parent, for its slots.

    Args:
        is_ours: Says whether the trial with an id is still this parent's to write to.
        most: How many writes may be waiting; whoever asks for one more waits, too.
    """

    def __init__(self, is_ours: Callable[[int], bool], most: int = _MOST) -> None:
        self._is_ours = is_ours
        self._most = most
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._is_writing = False
        self._lost: set[int] = set()  # trials that somebody else has ended, or has taken over
        self._error: Exception | None = None

    def write(self, trial_id: int, write: Callable[[], None]) -> None:
        """Have something written to a trial soon.

        Raises:
            UpdateFinishedTrialError: If an earlier write has found that the trial is somebody else's by now.
            Exception: What went wrong with an earlier write to any trial.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < self._most or self._error is not None)
            self._raise(trial_id)
            if not self._is_writing:
                threading.Thread(target=self._work, name="autotune-write", daemon=True).start()
                self._is_writing = True
            self._waiting.append((trial_id, write))

    def settle(self, trial_id: int) -> None:
        """Wait until all is written that was to be written to a trial.

        Raises:
            Exception: As `write` does.
        """
        with self._changed:
            self._changed.wait_for(lambda: all(one != trial_id for one, _ in self._waiting))
            self._raise(trial_id)

    def forget(self, trial_id: int) -> None:
        """Forget what is known of a trial: it does not run here any more."""
        with self._changed:
            self._lost.discard(trial_id)

    def _raise(self, trial_id: int) -> None:
        if self._error is not None:
            raise self._error
        if trial_id in self._lost:
            raise UpdateFinishedTrialError(f"The trial with the id {trial_id} is somebody else's by now.")

    def _work(self) -> None:
        while (first := self._first()) is not None:
            trial_id, write = first
            try:
                is_ours = self._is_ours(trial_id)
                if is_ours:
                    write()
            except UpdateFinishedTrialError:
                is_ours = False
            except Exception as error:  # whatever it is, the slots raise it
                self._fail(error)
                continue
            self._take_off(trial_id, is_ours)

    def _first(self) -> tuple[int, Callable[[], None]] | None:
        with self._changed:
            self._is_writing = bool(self._waiting)
            return self._waiting[0] if self._waiting else None

    def _take_off(self, trial_id: int, is_ours: bool) -> None:
        """Take the first write off the list; with it all others to a trial that is somebody else's."""
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
