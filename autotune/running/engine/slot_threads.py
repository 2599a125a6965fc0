"""The threads of a parent's slots: each claims a trial, supervises its process, and stores how it ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import optuna

from autotune.optuna_inside import stored
from autotune.running.claims import Lease, RepetitionError
from autotune.running.engine.ending import Ending
from autotune.running.engine.failures_in_a_row import FailuresInARow
from autotune.running.engine.supervising import NotOursError, Supervision
from autotune.running.processes import Slot
from autotune.running.tracking import EndState, TrialEnded, TrialStarted
from autotune.running.trial import Outcome
from autotune.training.records import Phase, n_finished_folds

_POLL_OTHERS_S = 1.0  # how often to check whether other parents have finished or lost the last trials
_STOP_S = 7.0  # so that a command ends within ten seconds after a signal


class SlotThreads:
    """The threads of one parent's slots.

    Args:
        ending: Stores how their trials end, and has the supervisor of their processes.
        failures: Ends the run when too many trials have failed.
        lease: This parent's lease.
        slots: The slots.
        stopping: Is set before the launcher is closed.
        clock: Returns seconds; must never go back.

    Attributes:
        why_over: Why the study has ended before its budget was used up; None if it has not.
    """

    def __init__(
        self,
        ending: Ending,
        failures: FailuresInARow,
        lease: Lease,
        slots: list[Slot],
        stopping: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.why_over: str | None = None
        self._is_over = False
        self._is_looking = False  # whether an idle slot is looking for a trial, also for the other idle slots
        self._looked = float("-inf")  # when a slot last found no trial
        self._ended = self._ended_at_look = 0  # how many trials have ended here: so far, and at that time
        self._ending = ending
        self._supervisor = ending.supervisor
        self._claims = ending.supervisor.claims
        self._failures = failures
        self._lease = lease
        self._stopping = stopping
        self._clock = clock
        self._changed = threading.Condition()
        self._busy = len(slots)
        self._error: BaseException | None = None
        self._supervisions: dict[int, Supervision] = {}
        self._threads = [
            threading.Thread(target=partial(self._work, slot), name=f"autotune-slot-{slot.number}", daemon=True)
            for slot in slots
        ]
        self._keeper = threading.Thread(target=self._keep, name="autotune-lease", daemon=True)

    def run(self) -> None:
        """Work until the study is complete or `stopping` is set.

        Raises:
            BaseException: The first error in a slot's thread.
        """
        self._lease.renew()
        try:
            for thread in [self._keeper, *self._threads]:
                thread.start()
        except RuntimeError as error:  # Python cannot start another thread
            with self._changed:
                self._busy -= sum(thread.ident is None for thread in self._threads)
            self._give_up(error)
        self._stopping.wait()
        self._stop()
        # Do not wait longer for a storage that does not answer: the next run takes over trials that are still RUNNING.
        give_up = self._clock() + _STOP_S
        for thread in filter(threading.Thread.is_alive, [*self._threads, self._keeper]):
            thread.join(max(0.0, give_up - self._clock()))
        if self._error is not None:
            raise self._error

    def _stop(self) -> None:
        """End all trial processes now, so that their trials wait again."""
        self._stopping.set()
        self._supervisor.launcher.close()
        with self._changed:
            self._changed.notify_all()

    def _keep(self) -> None:
        """Renew the lease until all slots have stored the ends of their trials."""
        try:
            while not self._stopping.wait(self._lease.interval_s):
                for number in self._claims.takeover.look():
                    if supervision := self._supervisions.get(number):
                        supervision.abandon()
            with self._changed:
                self._changed.wait_for(lambda: not self._busy)
            self._lease.end()
        except BaseException as error:
            self._give_up(error)

    def _work(self, slot: Slot) -> None:
        try:
            is_idle = False
            while not (self._stopping.is_set() or self._is_over):
                trial = self._next_trial(is_idle)
                is_idle = trial is None
                if trial is not None:
                    self._run(slot, trial)
                elif not self._is_over:
                    with self._changed:
                        self._changed.wait(_POLL_OTHERS_S)
        except BaseException as error:
            self._give_up(error)
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()
            if not self._busy:
                self._stopping.set()

    def _next_trial(self, is_idle: bool) -> optuna.Trial | None:
        """Claim a trial; None if there is none now. Only one of several idle slots looks at a time."""
        with self._changed:
            ended = self._ended
            is_known = ended == self._ended_at_look and self._clock() - self._looked < _POLL_OTHERS_S / 2
            if is_known or (is_idle and self._is_looking):
                return None
            self._is_looking = self._is_looking or is_idle
        trial = self._claims.next_trial()
        is_over = trial is None and self._claims.census.is_complete()
        why_over = self._claims.census.why_over() if trial is None and not is_over else None
        with self._changed:
            self._is_looking = self._is_looking and not is_idle
            if trial is None:
                self._ended_at_look, self._looked = ended, self._clock()
                self.why_over, self._is_over = why_over, is_over or why_over is not None
        return trial

    def _give_up(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
        self._stop()

    def _run(self, slot: Slot, trial: optuna.Trial) -> None:
        started = self._clock()
        steps: set[int] = set()
        n_before = 0
        try:
            known = stored(trial)
            steps |= known.intermediate_values.keys()
            n_before = len(steps)
            folds = n_finished_folds(known.user_attrs)
            self._supervisor.observer(TrialStarted(slot.number, trial.number, known.intermediate_values, folds))
            outcome, state = self._ending.end(trial, self._supervise(slot, trial, steps))
        except RepetitionError as repetition:
            outcome, state = self._ending.end_as_copy(trial, repetition.twin)
        except NotOursError:
            outcome, state = None, "interrupted"  # another parent has the trial: go on with the next one
        except BaseException:
            self._claims.held.put_back(trial.number)
            raise
        finally:
            self._claims.held.release(trial.number)
        self._supervisor.observer(self._trial_ended(slot, trial, outcome, state, len(steps), self._clock() - started))
        with self._changed:
            self._ended += 1
            self._changed.notify_all()
        if outcome is not None and outcome.error is not None:
            raise outcome.error
        if outcome is not None:
            self._failures.count(trial.number, outcome, state == "failed", came_further=len(steps) > n_before)

    def _trial_ended(
        self, slot: Slot, trial: optuna.Trial, outcome: Outcome | None, state: EndState, n_steps: int, seconds: float
    ) -> TrialEnded:
        return TrialEnded(
            slot.number,
            trial.number,
            state,
            outcome.value if outcome else None,
            outcome.reason if outcome else "",
            trial.params,
            n_steps,
            seconds,
            self._claims.census.n_finished(),
            why=outcome.why if outcome and state == "failed" else "",
            phases=_all_phases(outcome, seconds),
            finished_folds=n_finished_folds(trial.user_attrs),
        )

    def _supervise(self, slot: Slot, trial: optuna.Trial, steps: set[int]) -> Outcome | None:
        supervision = self._supervisor.start(slot, trial, self._ending.folder(trial.number), steps)
        if supervision is None:
            return None
        self._supervisions[trial.number] = supervision
        try:
            return supervision.run()
        finally:
            del self._supervisions[trial.number]


def _all_phases(outcome: Outcome | None, seconds: float) -> dict[Phase, float]:
    """Return the phases that a process reports, and "process" for the rest of the `seconds` that its slot has spent."""
    if outcome is None or not outcome.phases:
        return {}
    return {"process": seconds - sum(outcome.phases.values()), **outcome.phases}
