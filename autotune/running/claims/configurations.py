"""A check that no two trials of a study train the same configuration.

A trial gets its parameters one by one, and does not say which one is its last. So a trial that has just got the same
parameters as a running trial waits for a moment. If the other trial gets another parameter, the two are different.
Otherwise this trial is put back, and becomes a copy of the other one when that has finished.

What is covered: the slots of one parent, and parents on one machine with one run dir: they suggest parameters one
after the other. Objectives that do not report. Conditional spaces.
What is not covered: parents on different machines that suggest the same parameters at the same moment. The later trial
notices it when it reports, and is put back then.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.optuna_inside import stored
from autotune.running.claims.census import FinishedIndex
from autotune.running.claims.known_trials import KnownTrials
from autotune.running.claims.ownership import Owner, is_ours, mark_of
from autotune.search.history import FinishedTrials, has_more, is_countable, twin

_PATIENCE_S = 1.0  # far more than the milliseconds in which an objective asks for its next parameter

T = TypeVar("T")


class RepetitionError(Exception):
    """A trial has the same configuration as another one.

    Args:
        twin: The other trial, finished or running.
    """

    def __init__(self, twin: FrozenTrial) -> None:
        super().__init__(twin.number)
        self.twin = twin


class Configurations:
    """The configurations of a study's trials, for the slots of one parent.

    Args:
        known: The trials.
        finished: The index of the finished ones.
        owner: This parent.
        patience_s: How long a trial waits for another one with the same parameters to get another parameter.
    """

    def __init__(
        self, known: KnownTrials, finished: FinishedTrials[FinishedIndex], owner: Owner, patience_s: float = _PATIENCE_S
    ) -> None:
        self._known = known
        self._finished = finished
        self._owner = owner
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._yielding: set[int] = set()  # trials that wait for another one, or are put back because of it

    def suggested(self, trial: optuna.Trial, suggest: Callable[[], T]) -> T:
        """Return the parameter that `suggest` gives the trial, while no other trial gets one.

        Raises:
            RepetitionError: If another trial has or had the same configuration.
        """
        with self._one_parent_at_a_time(), self._changed:
            known = _stored(trial).params.keys()
            suggested = suggest()
            asked = _stored(trial)
            found = self._twin(asked) if asked.params.keys() != known else self._finished_twin(asked)
            if found is not None:
                self._yielding.add(asked.number)
            self._changed.notify_all()
        if found is not None and not found.state.is_finished():
            found = self._awaited(asked)
        if found is not None:
            raise RepetitionError(found)
        return suggested

    def reporting(self, trial: optuna.Trial) -> None:
        """Check, before a trial reports, that no trial of another machine has its configuration and was first.

        Raises:
            RepetitionError: If there is one.
        """
        asked = _stored(trial)
        first = [t for t in self._others(asked) if t.intermediate_values and _precedes(t, asked)]
        found = self._finished_twin(asked) or twin(first, asked.params)
        if found is not None:
            raise RepetitionError(found)

    def may_run(self, trial: FrozenTrial) -> bool:
        """Tell whether no running trial has the parameters of this waiting one."""
        return self._running_twin(trial) is None

    def release(self, number: int) -> None:
        """Forget a trial that does not run here any more."""
        with self._changed:
            self._yielding.discard(number)
            self._changed.notify_all()

    def _awaited(self, asked: FrozenTrial) -> FrozenTrial | None:
        """Wait for a trial with the same parameters to get another parameter; return it if it does not."""
        with self._changed:
            if self._changed.wait_for(lambda: self._running_twin(asked) is None, self._patience_s):
                self._yielding.discard(asked.number)
            return self._twin(asked)

    @contextlib.contextmanager
    def _one_parent_at_a_time(self) -> Iterator[None]:
        """Keep other parents with this run dir, if there are any, from suggesting parameters during the block."""
        if not self._owner.has_company():
            yield
            return
        with self._owner.alone():
            yield

    def _twin(self, asked: FrozenTrial) -> FrozenTrial | None:
        running = self._running_twin(asked)  # first, so that a trial that ends meanwhile is found as a finished one
        return self._finished_twin(asked) or running

    def _finished_twin(self, asked: FrozenTrial) -> FrozenTrial | None:
        with self._finished.look(self._known.trials()) as (index, _):
            return index.twin(asked.params, asked.distributions)

    def _running_twin(self, asked: FrozenTrial) -> FrozenTrial | None:
        """Return an earlier running trial with the same parameters, if it may have no others; None if there is none."""
        if self._owner.has_company() and is_countable(asked):  # continuous values are never equal by chance
            self._known.forget()
        first = (t for t in self._others(asked) if self._is_in_run_dir(t) or _precedes(t, asked))
        found = twin(first, asked.params)
        return None if found is None or has_more(self._known.trials(), asked.params) else found

    def _others(self, asked: FrozenTrial) -> Iterable[FrozenTrial]:
        with self._finished.look(self._known.trials()) as (_, unfinished):
            running = [t for t in unfinished if t.state == TrialState.RUNNING and t.number != asked.number]
        return [t for t in running if t.number not in self._yielding and (t.intermediate_values or is_ours(t))]

    def _is_in_run_dir(self, trial: FrozenTrial) -> bool:
        """Tell whether a trial runs in this run dir, so that it got its parameters before the present trial."""
        mark = mark_of(trial)
        return mark is not None and mark.place == self._owner.mark.place


def _stored(trial: optuna.Trial) -> FrozenTrial:
    return stored(trial)  # the attributes of `trial` itself would copy all distributions


def _precedes(one: FrozenTrial, other: FrozenTrial) -> bool:
    """Tell which of two running trials on different machines keeps the configuration: True for `one`."""
    return (not one.intermediate_values, one.number) < (not other.intermediate_values, other.number)
