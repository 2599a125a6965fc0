"""Who trains which configuration: no two trials of a study train the same one.

A trial has its configuration parameter by parameter, and nobody says which one is its last. So a trial that has just
been given the same parameters as another one that runs waits for a moment. The other one may ask for more, and then
the two are different. If it does not, the trial gives way: it is put back, and is a copy of the other one later.

What is covered: the slots of one parent, and parents of one run dir on one machine, which are given parameters one
after the other; objectives that report nothing; conditional spaces.
What is not covered: parents of different machines that are given the same parameters at the same moment. The later
trial sees it when it reports, and gives way then.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.optuna_inside import stored
from autotune.running.claims.census import Books
from autotune.running.claims.known_trials import KnownTrials
from autotune.running.claims.ownership import Owner, is_ours, mark_of
from autotune.search.history import FinishedTrials, has_more, is_countable, twin

_PATIENCE_S = 1.0  # an objective asks for its next parameter within milliseconds

T = TypeVar("T")


class RepetitionError(Exception):
    """A trial has turned out to be the same as another one.

    Args:
        twin: The other one, finished or running.
    """

    def __init__(self, twin: FrozenTrial) -> None:
        super().__init__(twin.number)
        self.twin = twin


class Configurations:
    """The configurations of a study's trials, for the slots of one parent.

    Args:
        known: The trials.
        finished: What is known of the finished ones.
        owner: This parent.
        patience_s: For how long a trial waits for another one with the same parameters to ask for more.
    """

    def __init__(
        self, known: KnownTrials, finished: FinishedTrials[Books], owner: Owner, patience_s: float = _PATIENCE_S
    ) -> None:
        self._known = known
        self._finished = finished
        self._owner = owner
        self._patience_s = patience_s
        self._moved = threading.Condition()
        self._behind: set[int] = set()  # trials that wait for another one, or have given way to it

    def suggested(self, trial: optuna.Trial, suggest: Callable[[], T]) -> T:
        """Have `suggest` give the trial a parameter, while no other trial is given one.

        Raises:
            RepetitionError: If another trial has or had the same configuration.
        """
        with self._neighbours_kept_out(), self._moved:
            known = _stored(trial).params.keys()
            suggested = suggest()
            asked = _stored(trial)
            found = self._twin(asked) if asked.params.keys() != known else self._finished_twin(asked)
            if found is not None:
                self._behind.add(asked.number)
            self._moved.notify_all()
        if found is not None and not found.state.is_finished():
            found = self._awaited(asked)
        if found is not None:
            raise RepetitionError(found)
        return suggested

    def reporting(self, trial: optuna.Trial) -> None:
        """Look whether a trial that is about to report was faster than this one, on another machine.

        Raises:
            RepetitionError: If one was.
        """
        asked = _stored(trial)
        first = [t for t in self._others(asked) if t.intermediate_values and _precedes(t, asked)]
        found = self._finished_twin(asked) or twin(first, asked.params)
        if found is not None:
            raise RepetitionError(found)

    def may_run(self, trial: FrozenTrial) -> bool:
        """Say whether no trial that runs has the parameters of this one, which waits."""
        return self._running_twin(trial) is None

    def release(self, number: int) -> None:
        """Note that a trial does not run here any more."""
        with self._moved:
            self._behind.discard(number)
            self._moved.notify_all()

    def _awaited(self, asked: FrozenTrial) -> FrozenTrial | None:
        """Wait for a trial with the same parameters to ask for more; return it if it does not."""
        with self._moved:
            if self._moved.wait_for(lambda: self._running_twin(asked) is None, self._patience_s):
                self._behind.discard(asked.number)
            return self._twin(asked)

    @contextlib.contextmanager
    def _neighbours_kept_out(self) -> Iterator[None]:
        """Keep the other parents of this run dir from giving parameters, if there are any."""
        if not self._owner.has_company():
            yield
            return
        with self._owner.alone():
            yield

    def _twin(self, asked: FrozenTrial) -> FrozenTrial | None:
        running = self._running_twin(asked)  # first: one that ends meanwhile is among the finished ones then
        return self._finished_twin(asked) or running

    def _finished_twin(self, asked: FrozenTrial) -> FrozenTrial | None:
        with self._finished.look(self._known.trials()) as (books, _):
            return books.twin(asked.params, asked.distributions)

    def _running_twin(self, asked: FrozenTrial) -> FrozenTrial | None:
        """Return a running trial that comes before this one and has the same parameters, if these may be all."""
        if self._owner.has_company() and is_countable(asked):  # endless values do not meet by chance
            self._known.forget()
        first = (t for t in self._others(asked) if self._is_beside(t) or _precedes(t, asked))
        found = twin(first, asked.params)
        return None if found is None or has_more(self._known.trials(), asked.params) else found

    def _others(self, asked: FrozenTrial) -> Iterable[FrozenTrial]:
        with self._finished.look(self._known.trials()) as (_, unfinished):
            running = [t for t in unfinished if t.state == TrialState.RUNNING and t.number != asked.number]
        return [t for t in running if t.number not in self._behind and (t.intermediate_values or is_ours(t))]

    def _is_beside(self, trial: FrozenTrial) -> bool:
        """Say whether a trial runs in this run dir: its parameters were given before those of this moment."""
        mark = mark_of(trial)
        return mark is not None and mark.place == self._owner.mark.place


def _stored(trial: optuna.Trial) -> FrozenTrial:
    return stored(trial)  # `trial` itself would copy all the distributions


def _precedes(one: FrozenTrial, other: FrozenTrial) -> bool:
    """Say whether of two running trials of different machines the first has the configuration."""
    return (not one.intermediate_values, one.number) < (not other.intermediate_values, other.number)
