"""The finished trials of a study, each looked at once.

A finished trial never changes, so that what is learned from it need not be learned again: with 10,000 of them a look
at all takes longer than the rest of a suggestion.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from optuna.trial import FrozenTrial

from autotune.optuna_inside import id_of


class Learner(Protocol):
    """Something that learns from finished trials."""

    def learn(self, trial: FrozenTrial) -> None:
        """Take notice of a trial that has finished since the last one."""


L = TypeVar("L", bound=Learner)


class FinishedTrials(Generic[L]):
    """What was learned from the finished trials of the study that was looked at last. Safe in any thread.

    Args:
        new_learner: Makes what learns; anew for each other study.
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
        """Look at all trials of a study.

        Args:
            trials: The trials, by their numbers.

        Yields:
            What was learned from the finished ones, and the other trials. Nothing more is learned meanwhile.
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
        """Say whether these are trials of the study that was looked at before."""
        if self._first is None:
            return self._n_seen == 0 or not trials
        if self._first.number >= len(trials):
            return False
        now = trials[self._first.number]
        return (id_of(now), now.datetime_complete) == (id_of(self._first), self._first.datetime_complete)
