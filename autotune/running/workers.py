"""Slots at work: each is a thread that claims a trial, waits for its process, and tells Optuna how it ended."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from autotune.errors import StudyFailedError
from autotune.running.claims import Claims
from autotune.running.events import EndState, Note, Observer, StepReported, TrialEnded, TrialStarted
from autotune.running.piped_trial import Request, answer, asked_distribution
from autotune.running.processes import Launcher, LauncherClosedError
from autotune.running.settings import KnownSpace
from autotune.running.slots import Slot
from autotune.running.trial_task import Outcome, RunTrial
from autotune.training.folder import TrialFolder

_POLL_OTHERS_S = 1.0  # how often to look whether another parent has finished or lost the last trials
_STOP_S = 7.0  # a command that is told to end has ended within ten seconds
_MAX_LOSSES = 3  # a server of trial processes that keeps dying is not started for ever


@dataclass(frozen=True)
class Job:
    """What the slots of a run need to know.

    Attributes:
        study: The study.
        claims: The way to its trials.
        launcher: Starts trial processes.
        task: From a slot, a trial's folder to the task of its process.
        folder: From a trial's number to its folder.
        known_space: What the search space may not differ from; None for anything goes.
        max_failures_in_a_row: When to give up.
        after_trial: Called after each finished trial.
        observer: Told what happens.
    """

    study: optuna.Study
    claims: Claims
    launcher: Launcher
    task: Callable[[Slot, TrialFolder], RunTrial]
    folder: Callable[[int], TrialFolder]
    known_space: KnownSpace | None
    max_failures_in_a_row: int
    after_trial: Callable[[], None]
    observer: Observer


class Workers:
    """The slots of one parent, from start to end.

    Args:
        job: What they do.
        slots: Where they do it.
        stopping: Set by whoever closes the launcher, before doing so.
    """

    def __init__(self, job: Job, slots: list[Slot], stopping: threading.Event) -> None:
        self._job = job
        self._stopping = stopping
        self._changed = threading.Condition()
        self._busy = len(slots)
        self._failures = 0
        self._losses = 0
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=partial(self._work, slot), name=f"autotune-slot-{slot.number}", daemon=True)
            for slot in slots
        ]

    def run(self, deadline: float | None) -> None:
        """Work until the study is complete, `stopping` is set, or the monotonic clock has reached `deadline`.

        Raises:
            BaseException: What went wrong in a slot, here in the caller's thread.
        """
        for thread in self._threads:
            thread.start()
        left = None if deadline is None else min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
        self._stopping.wait(left)
        self._stop()
        # Nobody who has asked to stop waits for a storage that does not answer: what is left RUNNING then is taken over
        # by the next run.
        give_up = time.monotonic() + _STOP_S
        for thread in self._threads:
            thread.join(max(0.0, give_up - time.monotonic()))
        if self._error is not None:
            raise self._error

    def _stop(self) -> None:
        """End all trial processes now; their trials wait."""
        self._stopping.set()
        self._job.launcher.close()
        with self._changed:
            self._changed.notify_all()

    def _work(self, slot: Slot) -> None:
        try:
            while not self._stopping.is_set():
                trial = self._job.claims.next_trial()
                if trial is not None:
                    self._run(slot, trial)
                elif self._job.claims.is_complete():
                    return
                else:
                    with self._changed:
                        self._changed.wait(_POLL_OTHERS_S)
        except BaseException as error:
            self._give_up(error)
        finally:
            with self._changed:
                self._busy -= 1
            if not self._busy:
                self._stopping.set()

    def _give_up(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
        self._stop()

    def _run(self, slot: Slot, trial: optuna.Trial) -> None:
        started = time.monotonic()
        try:
            reported = {t.number: t for t in self._job.study.get_trials(deepcopy=False)}[trial.number]
            steps = set(reported.intermediate_values)
            self._job.observer(TrialStarted(slot.number, trial.number, len(steps)))
            outcome = self._supervise(slot, trial, steps)
            if outcome is not None and outcome.kind == "complete" and self._job.known_space is not None:
                self._job.known_space.refuse_gone(self._job.study.study_name, trial.params)
        except UpdateFinishedTrialError:
            outcome = None  # somebody else has ended it, by hand or in the dashboard: on to the next
        except BaseException:
            self._job.claims.put_back(trial.number)
            raise
        state = self._tell(trial, outcome)
        seconds = time.monotonic() - started
        value, reason = (outcome.value, outcome.reason) if outcome else (None, "")
        self._job.observer(
            TrialEnded(slot.number, trial.number, state, value, reason, trial.params, len(steps), seconds)
        )
        with self._changed:
            self._changed.notify_all()
        self._count_failures(trial.number, outcome)

    def _supervise(self, slot: Slot, trial: optuna.Trial, steps: set[int]) -> Outcome | None:
        """Answer the trial process until it ends; None if it was ended by us or with its server."""
        folder = self._job.folder(trial.number)
        try:
            process = self._job.launcher.start(self._job.task(slot, folder))
        except LauncherClosedError:
            return None
        outcome = None
        try:
            while outcome is None and (message := _receive(process.connection)) is not None:
                if isinstance(message, Outcome):
                    outcome = message
                else:
                    _send(process.connection, self._answer(slot, trial, message, steps))
        except BaseException:
            process.kill()
            process.exit_status()
            raise
        if outcome is not None:
            process.kill()  # it has nothing left to do, and may not know that
        status = process.exit_status()
        if outcome is None and status is None and not self._stopping.is_set():
            self._count_loss()
        elif outcome is None and status is not None and not self._stopping.is_set():
            outcome = Outcome("failed", reason="error", message=_how_it_ended(status))
        return outcome

    def _count_loss(self) -> None:
        """Note that the server of trial processes died under a trial, which waits for another one."""
        with self._changed:
            self._losses += 1
        if self._losses >= _MAX_LOSSES:
            raise StudyFailedError(
                f"the process that starts trial processes has died {self._losses} times.",
                "It lives as long as the run, unless memory runs out or something kills it.",
                "Look for messages of the kernel (dmesg), free memory or use fewer --workers, and run again.",
            )

    def _answer(self, slot: Slot, trial: optuna.Trial, request: Request, steps: set[int]) -> tuple[str, object]:
        if request.name == "note":
            self._job.observer(Note(slot.number, trial.number, str(request.args[0])))
            return "value", None
        if request.name == "report":
            value, step = request.args
            if step in steps:
                return "value", None  # a trial that goes on repeats itself
            steps.add(step)
            self._job.observer(StepReported(slot.number, trial.number, step, value))
        self._refuse_new_space(request)
        return answer(trial, request)

    def _refuse_new_space(self, request: Request) -> None:
        if self._job.known_space is None:
            return
        try:
            asked = asked_distribution(request)
        except (TypeError, ValueError):
            return  # not a range at all: the real trial says so to the study file
        if asked is not None:
            self._job.known_space.refuse_new(self._job.study.study_name, *asked)

    def _tell(self, trial: optuna.Trial, outcome: Outcome | None) -> EndState:
        """Write down how a trial ended and return that in a word."""
        if outcome is None or outcome.kind == "unusable":
            self._job.claims.put_back(trial.number)
            return "interrupted"
        if outcome.kind == "failed":
            with contextlib.suppress(UpdateFinishedTrialError):
                trial.set_user_attr("failure", outcome.reason)
                trial.set_user_attr("failure_message", outcome.message[-2000:])
        state = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        self._job.study.tell(trial, outcome.value, state[outcome.kind], skip_if_finished=True)
        self._job.folder(trial.number).remove_checkpoint()
        self._job.after_trial()
        return outcome.kind

    def _count_failures(self, number: int, outcome: Outcome | None) -> None:
        if outcome is None:
            return
        if outcome.error is not None:
            raise outcome.error
        with self._changed:
            self._failures = self._failures + 1 if outcome.kind == "failed" else 0
            too_many = self._failures >= self._job.max_failures_in_a_row
        if too_many:
            log = self._job.folder(number).log
            raise StudyFailedError(
                f"{self._failures} trials in a row have failed; the last one, trial {number}, with the reason "
                f"{outcome.reason!r}: {_last_line(outcome.message)}",
                f"What it printed is in {log}",
                "Correct the study file and run the same command again: failed trials do not count.",
            )


def _receive(connection: Connection) -> Request | Outcome | None:
    """Return what a trial process says; None if it is gone: its exit status tells why."""
    try:
        message: Request | Outcome = connection.recv()
    except (EOFError, ConnectionError):
        return None
    except Exception as error:  # an object of a class that only the study file knows
        return Outcome("failed", reason="error", message=f"The trial sent what cannot be read elsewhere: {error}")
    return message


def _send(connection: Connection, answer: tuple[str, object]) -> None:
    with contextlib.suppress(ConnectionError):  # gone as well; the next `_receive` notices
        connection.send(answer)


def _how_it_ended(status: int) -> str:
    how = f"by signal {-status}" if status < 0 else f"with exit code {status}"
    return f"The trial process ended {how} before it had a result."


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
