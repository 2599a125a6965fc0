"""A reader of finished trials that visits each of them once.

A finished trial never changes, so its information can be stored. With 10,000 trials, visiting all of them would take
longer than the rest of a suggestion.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from optuna.trial import FrozenTrial

from autotune.optuna_inside import id_of


class Learner(Protocol):
    """An object that collects information from finished trials."""

    def learn(self, trial: FrozenTrial) -> None:
        """Add the information of a newly finished trial."""


L = TypeVar("L", bound=Learner)


class FinishedTrials(Generic[L]):
    """The learner of the study that was looked at last, updated with each newly finished trial. It is thread-safe.

    Args:
        new_learner: Makes an empty learner; called again for another study.
    """

    def __init__(self, new_learner: Callable[[], L]) -> None:
        self._new_learner = new_learner
        self._lock = threading.RLock()
        self._learner = new_learner()
        self._n_seen = 0
        self._unfinished: list[int] = []
        self._first: FrozenTrial | None = None

    @contextmanager
    def look(self, trials: Sequence[FrozenTrial]) -> Iterator[tuple[L, list[FrozenTrial]]]:
        """Update the learner with the newly finished trials of a study.

        Args:
            trials: All trials, ordered by number.

        Yields:
            The learner and the unfinished trials. The learner does not change during the block.
        """
        with self._lock:
            if not self._is_known(trials):
                self._forget()
            looked = [trials[number] for number in self._unfinished if number < len(trials)]
            looked += trials[self._n_seen :]
            self._n_seen = max(self._n_seen, len(trials))
            unfinished = []
            for trial in looked:
                if trial.state.is_finished():
                    self._first = self._first or trial
                    self._learner.learn(trial)
                else:
                    unfinished.append(trial)
            self._unfinished = [trial.number for trial in unfinished]
            yield self._learner, unfinished

    def _forget(self) -> None:
        self._learner = self._new_learner()
        self._n_seen = 0
        self._unfinished = []
        self._first = None

    def _is_known(self, trials: Sequence[FrozenTrial]) -> bool:
        """Tell whether these are trials of the study that was looked at before."""
        if self._first is None:
            return self._n_seen == 0 or not trials
        if self._first.number >= len(trials):
            return False
        now = trials[self._first.number]
        return (id_of(now), now.datetime_complete) == (id_of(self._first), self._first.datetime_complete)
