"""Slots at work: each is a thread that claims a trial, has it supervised, and tells Optuna how it ended."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from autotune.errors import StudyFailedError
from autotune.failures import SUMMARY
from autotune.running.claims import Claims, Lease, RepetitionError, errors_of
from autotune.running.engine.supervising import NotOursError, Supervision, Supervisor
from autotune.running.processes import Slot
from autotune.running.tracking import EndState, Observer, TrialArtifacts, TrialEnded, TrialStarted, leave_log
from autotune.running.trial import Outcome
from autotune.search.history import COPY_OF, FAULTS_OF_CONFIGURATION, first_value, report
from autotune.training.checkpoints import TrialFolder
from autotune.training.records import Phase, n_finished_folds

_POLL_OTHERS_S = 1.0  # how often to look whether another parent has finished or lost the last trials
_STOP_S = 7.0  # a command that is told to end has ended within ten seconds
_MAX_SERVER_DEATHS = 3  # a server of trial processes that keeps dying is not started for ever
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
_PATIENCE = 10  # so many times as many configurations in a row may fail by themselves where others have worked
_CONSTRAINTS = {"oom", "timeout"}  # reasons that lie in the configuration, and that a sampler can learn to avoid


@dataclass(frozen=True)
class Job:
    """What the slots of a run need to know.

    Attributes:
        study: The study.
        claims: The way to its trials.
        lease: This parent's lease.
        supervisor: Looks after trial processes.
        folder: From a trial's number to its folder.
        artifacts: Where trials leave what there is to look at.
        max_failures_in_a_row: When to give up.
        after_trial: Called after each finished trial.
        observer: Told what happens.
    """

    study: optuna.Study
    claims: Claims
    lease: Lease
    supervisor: Supervisor
    folder: Callable[[int], TrialFolder]
    artifacts: TrialArtifacts
    max_failures_in_a_row: int
    after_trial: Callable[[], None]
    observer: Observer


class Workers:
    """The slots of one parent, from start to end.

    Args:
        job: What they do.
        slots: Where they do it.
        stopping: Set by whoever closes the launcher, before doing so.

    Attributes:
        why_over: Why they have ended although trials are missing; None if they have not.
    """

    def __init__(self, job: Job, slots: list[Slot], stopping: threading.Event) -> None:
        self.why_over: str | None = None
        self._is_over = False
        self._is_looking = False  # whether an idle slot looks for all of them
        self._looked = float("-inf")  # when somebody last found nothing to do
        self._ended = self._ended_at_look = 0  # trials that have ended here, now and then
        self._job = job
        self._stopping = stopping
        self._changed = threading.Condition()
        self._busy = len(slots)
        self._failures: list[str] = []  # the reasons of those in a row
        self._dead_servers: set[int] = set()  # since a trial has last come further
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
            BaseException: What went wrong in a slot, here in the caller's thread.
        """
        self._job.lease.renew()
        try:
            for thread in [self._keeper, *self._threads]:
                thread.start()
        except RuntimeError as error:  # there are no more threads to be had
            with self._changed:
                self._busy -= sum(thread.ident is None for thread in self._threads)
            self._give_up(error)
        self._stopping.wait()
        self._stop()
        # Nobody who has asked to stop waits for a storage that does not answer: what is left RUNNING then is taken over
        # by the next run.
        give_up = time.monotonic() + _STOP_S
        for thread in filter(threading.Thread.is_alive, [*self._threads, self._keeper]):
            thread.join(max(0.0, give_up - time.monotonic()))
        if self._error is not None:
            raise self._error

    def _stop(self) -> None:
        """End all trial processes now; their trials wait."""
        self._stopping.set()
        self._job.supervisor.launcher.close()
        with self._changed:
            self._changed.notify_all()

    def _keep(self) -> None:
        """Keep the lease until the last slot has written down what there is to write."""
        try:
            while not self._stopping.wait(self._job.lease.interval_s):
                for number in self._job.claims.look():
                    if supervision := self._supervisions.get(number):
                        supervision.abandon()
            with self._changed:
                self._changed.wait_for(lambda: not self._busy)
            self._job.lease.end()
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
        """Claim a trial; None if there is none now. Of many idle slots, one looks for all of them."""
        claims = self._job.claims
        with self._changed:
            ended = self._ended
            is_known = ended == self._ended_at_look and time.monotonic() - self._looked < _POLL_OTHERS_S / 2
            if is_known or (is_idle and self._is_looking):
                return None
            self._is_looking = self._is_looking or is_idle
        trial = claims.next_trial()
        is_over = trial is None and claims.is_complete()
        why_over = claims.why_over() if trial is None and not is_over else None
        with self._changed:
            self._is_looking = self._is_looking and not is_idle
            if trial is None:
                self._ended_at_look, self._looked = ended, time.monotonic()
                self.why_over, self._is_over = why_over, is_over or why_over is not None
        return trial

    def _give_up(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
        self._stop()

    def _run(self, slot: Slot, trial: optuna.Trial) -> None:
        started = time.monotonic()
        steps: set[int] = set()
        n_before = 0
        try:
            stored = trial.storage.get_trial(trial._trial_id)
            steps |= stored.intermediate_values.keys()
            n_before = len(steps)
            folds = n_finished_folds(stored.user_attrs)
            self._job.observer(TrialStarted(slot.number, trial.number, stored.intermediate_values, folds))
            outcome = self._supervise(slot, trial, steps)
            self._job.claims.ending(trial.number)
            outcome, state = self._end(trial, outcome)
        except RepetitionError as repetition:
            outcome, state = self._copy(trial, repetition.twin)
        except NotOursError:
            outcome, state = None, "interrupted"  # on to the next
        except BaseException:
            self._job.claims.put_back(trial.number)
            raise
        finally:
            self._job.claims.release(trial.number)
        seconds = time.monotonic() - started
        value, reason = (outcome.value, outcome.reason) if outcome else (None, "")
        finished = self._job.claims.n_finished()
        ended = TrialEnded(slot.number, trial.number, state, value, reason, trial.params, len(steps), seconds, finished)
        phases, folds = _all_phases(outcome, seconds), n_finished_folds(trial.user_attrs)
        why = outcome.why if outcome and state == "failed" else ""
        self._job.observer(dataclasses.replace(ended, why=why, phases=phases, finished_folds=folds))
        with self._changed:
            self._ended += 1
            self._changed.notify_all()
        self._count(trial.number, outcome, state, came_further=len(steps) > n_before)

    def _supervise(self, slot: Slot, trial: optuna.Trial, steps: set[int]) -> Outcome | None:
        supervision = self._job.supervisor.start(slot, trial, self._job.folder(trial.number), steps)
        if supervision is None:
            return None
        self._supervisions[trial.number] = supervision
        try:
            return supervision.run()
        finally:
            del self._supervisions[trial.number]

    def _end(self, trial: optuna.Trial, outcome: Outcome | None) -> tuple[Outcome | None, EndState]:
        """Write down how a trial ended, and return that with its state in a word.

        Raises:
            NotOursError: If it has become somebody else's to say.
        """
        claims = self._job.claims
        if outcome is None or outcome.kind == "unusable" or outcome.reason == "server":
            claims.put_back(trial.number)
            return outcome, "interrupted"
        if not claims.holds(trial.number):
            raise NotOursError
        if outcome.kind == "lost":
            return outcome, "interrupted" if claims.lose(trial.number) else "failed"
        if outcome.reason == "error" and (time_of := claims.try_again(trial.number)):
            reason = f"error; it is tried again, {time_of}"
            return dataclasses.replace(outcome, kind="lost", reason=reason), "interrupted"
        folder = self._job.folder(trial.number)
        if outcome.kind == "failed":
            self._job.supervisor.leave_history(folder)
            leave_log(folder)
        try:
            self._job.artifacts.leave(trial, folder)  # a trial that is told of its end takes no more attributes
            self._tell(trial, outcome)
        except UpdateFinishedTrialError:
            raise NotOursError from None
        folder.remove_checkpoint()
        self._job.after_trial()
        return outcome, outcome.kind

    def _copy(self, trial: optuna.Trial, twin: FrozenTrial) -> tuple[Outcome | None, EndState]:
        """End a trial as the same one has ended, without training it again; it waits for one that still runs."""
        self._job.claims.ending(trial.number)
        if not twin.state.is_finished():
            self._job.claims.put_back(trial.number)
            return Outcome("lost", reason=f"it waits for trial {twin.number}, which tries the same"), "interrupted"
        for step, value in twin.intermediate_values.items():
            report(trial, value, step)
        for key, value in {**twin.user_attrs, COPY_OF: twin.number}.items():
            trial.set_user_attr(key, value)
        values = twin.values if twin.state == TrialState.COMPLETE else None
        trial.study.tell(trial, values, twin.state, skip_if_finished=True)
        self._job.folder(trial.number).remove_checkpoint()
        reason = f"a copy of trial {twin.number}"
        if twin.state == TrialState.COMPLETE:
            return Outcome("complete", first_value(twin), reason=reason), "complete"
        return Outcome("pruned", reason=reason), "pruned"

    def _tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        known_space = self._job.supervisor.known_space
        if outcome.kind == "complete" and known_space is not None:
            known_space.refuse_gone(self._job.study.study_name, trial.params)
        if outcome.kind == "failed":
            trial.set_user_attr("failure", outcome.reason)
            n_errors = errors_of(trial.storage.get_trial(trial._trial_id)).count
            tried = f"It was tried {n_errors + 1} times; the last time:\n" if n_errors else ""
            trial.set_user_attr("failure_message", tried + outcome.message[-2000:])
            trial.set_user_attr(SUMMARY, outcome.why + (f" (tried {n_errors + 1} times)" if n_errors else ""))
            if outcome.reason in _CONSTRAINTS and outcome.reason not in trial.constraints:
                trial.set_constraint(outcome.reason, 1.0)
        values = None if outcome.value is None else [outcome.value, *outcome.costs]
        trial.study.tell(trial, values, _STATES[outcome.kind], skip_if_finished=True)

    def _count(self, number: int, outcome: Outcome | None, state: EndState, came_further: bool) -> None:
        """Give up if there is no sense in going on."""
        if came_further:
            with self._changed:
                self._dead_servers.clear()
        if outcome is None:
            return
        if outcome.error is not None:
            raise outcome.error
        if outcome.kind == "lost" and state != "failed":
            self._count_server_death(outcome)
            return
        with self._changed:
            self._dead_servers.clear()
            self._failures = [*self._failures, outcome.reason] if state == "failed" else []
            is_enough = self._is_enough(self._failures)
            n_failures = len(self._failures)
        if is_enough:
            log = self._job.folder(number).log
            one, many = (
                f"trial {number} has failed",
                f"{n_failures} trials in a row have failed; the last, trial {number}",
            )
            raise StudyFailedError(
                f"{one if n_failures == 1 else many}, with the reason {outcome.reason!r}: {outcome.why}",
                f"What it printed is in {log}",
                "Correct the study file and run the same command again: failed trials do not count.",
            )

    def _is_enough(self, reasons: Sequence[str]) -> bool:
        """Say whether so many failures in a row, for these reasons, end the study.

        Those that lie in the configuration end it soon only where no other configuration has worked yet.
        """
        most = self._job.max_failures_in_a_row
        others = [reason for reason in reasons if reason not in FAULTS_OF_CONFIGURATION]
        if len(reasons) < most or len(others) >= most or len(reasons) >= most * _PATIENCE:
            return len(reasons) >= most
        return not any(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in self._job.claims.known_trials())

    def _count_server_death(self, outcome: Outcome) -> None:
        """Note that the server of trial processes died under a trial, which waits for another one."""
        with self._changed:
            if outcome.reason == "server":
                self._dead_servers.add(outcome.server)  # once, however many trials have died with it
            n_deaths = len(self._dead_servers)
        if n_deaths >= _MAX_SERVER_DEATHS:
            raise StudyFailedError(
                f"the process that starts trial processes has died {n_deaths} times in a row.",
                "It lives as long as the run, unless memory runs out or something kills it.",
                "Look for messages of the kernel (dmesg), free memory or use fewer --workers, and run again.",
            )


def _all_phases(outcome: Outcome | None, seconds: float) -> dict[Phase, float]:
    """Return what a process says of its time, with what of `seconds` its slot has spent around it."""
    if outcome is None or not outcome.phases:
        return {}
    return {"process": seconds - sum(outcome.phases.values()), **outcome.phases}
