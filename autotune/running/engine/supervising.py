"""Supervision of a trial process: answer its requests, and find out how it ended."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from autotune.errors import DamagedStoreError, TrainingError
from autotune.failures import last_line
from autotune.optuna_inside import stored
from autotune.running.claims import Claims
from autotune.running.engine.given_trials import GivenTrials, OutsideError, unused_origin
from autotune.running.processes import (
    KILLED,
    Launcher,
    LauncherClosedError,
    Slot,
    TrialProcess,
    died_of_memory,
    kernel_kills,
)
from autotune.running.study import FINISHED, KnownSpace
from autotune.running.tracking import FoldFinished, Note, Observer, StepReported
from autotune.running.trial import (
    KEPT_BYTES,
    LeaveHistory,
    Outcome,
    Request,
    RunTrial,
    answer,
    asked_distribution,
    shorten,
)
from autotune.search.history import LEARNED_FROM
from autotune.training.checkpoints import TrialFolder
from autotune.training.records import FOLD_VALUES, MONITORED_LOSS, n_finished_folds

_TICK_S = 1.0  # how often to check the time limit, and the number of processes that the kernel has killed
# The exit status of a process that reads a mapped file which has become shorter, or whose disk has failed.
_MAPPED_FILE_GONE = {-getattr(signal, name) for name in ("SIGBUS",) if hasattr(signal, name)}


class NotOursError(Exception):
    """Another parent has taken over a trial that runs here, or has ended it."""


@dataclass(frozen=True)
class Supervisor:
    """Starts trial processes and answers their requests; the same for all trials of a run.

    Attributes:
        study: The study.
        claims: The claims, which tell whether this parent still owns a trial.
        launcher: Starts trial processes.
        task: From a slot, a trial and its folder to the task of its process.
        known_space: The search space that trials must not leave; None to allow any.
        would_keep: Tells whether the model of a trial with this value would be kept.
        timeout_s: How long a trial process may run; None for no limit.
        stopping: Is set before the launcher is closed.
        observer: Receives reports, finished folds and notes.
        monitor: The monitored metric; None for a plain objective.
        given: The configurations that the study file gives to a plain objective; None if it gives none.
        damaged_rows: Returns the error of the stored rows that a trial trains on; None if they are not damaged.
    """

    study: optuna.Study
    claims: Claims
    launcher: Launcher
    task: Callable[[Slot, optuna.Trial, TrialFolder], RunTrial]
    known_space: KnownSpace | None
    would_keep: Callable[[float], bool]
    timeout_s: float | None
    stopping: threading.Event
    observer: Observer
    monitor: str | None = None
    given: GivenTrials | None = None
    damaged_rows: Callable[[optuna.Trial], DamagedStoreError | None] = lambda trial: None
    _told: set[str | None] = field(default_factory=set)
    _comparing_losses: threading.Lock = field(default_factory=threading.Lock)

    def start(self, slot: Slot, trial: optuna.Trial, folder: TrialFolder, steps: set[int]) -> Supervision | None:
        """Start the process of a trial; None if the launcher is closed."""
        kills = kernel_kills()
        try:
            process = self.launcher.start(self.task(slot, trial, folder))
        except LauncherClosedError:
            return None
        return Supervision(self, slot, trial, folder, steps, process, kills)

    def leave_history(self, folder: TrialFolder) -> None:
        """Start a process that writes the history of a trial from its checkpoint, if the trial's process was killed."""
        if self.monitor is None or folder.shown.is_dir() or not folder.checkpoint.exists():
            return
        with contextlib.suppress(LauncherClosedError, EOFError, ConnectionError):
            process = self.launcher.start(LeaveHistory(folder, self.monitor))
            try:
                process.connection.recv()
            finally:
                process.kill()
                process.exit_status()

    def answer(self, slot: Slot, trial: optuna.Trial, request: Request, steps: set[int]) -> tuple[str, object]:
        """Do what a trial process requests, and return the answer to send."""
        if request.name == "note":
            text, once = request.args
            if once is None or once not in self._told:
                self._told.add(once)
                self.observer(Note(trial.number, str(text)))
            return "value", None
        if not self.claims.held.holds(trial.number):
            raise NotOursError
        if request.name == "is_among_best":
            return "value", self.would_keep(request.args[0])
        if request.name.startswith("suggest_"):
            self._hold_to_space(trial, request)
            return self._suggested(trial, request)
        if request.name == "set_user_attr" and request.args[0] == MONITORED_LOSS:
            with self._comparing_losses:
                self._refuse_other_loss(trial, str(request.args[1]))
                return answer(trial, request)
        if request.name == "set_user_attr" and request.args[0] == FOLD_VALUES:
            self.observer(FoldFinished(slot.number, trial.number, n_finished_folds({FOLD_VALUES: request.args[1]})))
        if request.name == "report":
            value, step = request.args
            if step in steps:
                return "value", None  # a resumed trial repeats earlier reports
            if self.claims.configurations is not None:
                self.claims.configurations.reporting(trial)
            steps.add(step)
            self.observer(StepReported(slot.number, trial.number, step, value))
        return answer(trial, request)

    def note_unused(self, trial: optuna.Trial) -> None:
        """Send a note about values that a finished trial was given and did not ask for."""
        if self.given is not None:
            self.given.note_unused(stored(trial))
        if LEARNED_FROM in trial.user_attrs and (text := unused_origin(stored(trial))):
            self.observer(Note(trial.number, text))

    def _suggested(self, trial: optuna.Trial, request: Request) -> tuple[str, object]:
        configurations = self.claims.configurations
        if configurations is None:
            return answer(trial, request)
        return configurations.suggested(trial, partial(answer, trial, request))

    def _refuse_other_loss(self, trial: optuna.Trial, loss: str) -> None:
        others = (t for t in self.claims.known.trials() if t.user_attrs.get(MONITORED_LOSS, loss) != loss)
        at_work = (TrialState.RUNNING, *FINISHED)
        other = next(
            (t for t in others if t.intermediate_values or (t.number != trial.number and t.state in at_work)), None
        )
        if other is not None:
            raise TrainingError(
                f"the study monitors its loss, but trials have different losses.\n"
                f"  trial {other.number}: {other.user_attrs[MONITORED_LOSS]}\n  trial {trial.number}: {loss}",
                "Values can be compared only if no hyperparameter changes the monitored metric, e.g. through the loss "
                "or a penalty that is part of it.",
                'Monitor a metric instead: e.g. compile with metrics=["accuracy"] and set monitor="val_accuracy".',
            )

    def _hold_to_space(self, trial: optuna.Trial, request: Request) -> None:
        """Check a suggestion against the study's known space, and against the given configurations."""
        if self.known_space is None and self.given is None:
            return
        try:
            asked = asked_distribution(request)
        except (TypeError, ValueError, OverflowError):
            return  # the arguments are no range: the real trial raises an error in the study file
        if asked is not None and self.known_space is not None:
            self.known_space.refuse_new(self.study.study_name, *asked)
        if asked is not None and self.given is not None:
            self.given.check(stored(trial), *asked)


class Supervision:
    """The supervision of one trial process, from its start to its end.

    Attributes:
        steps: The steps that the trial has reported, also in earlier processes.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        slot: Slot,
        trial: optuna.Trial,
        folder: TrialFolder,
        steps: set[int],
        process: TrialProcess,
        kills: int | None,
    ) -> None:
        self._supervisor = supervisor
        self._slot = slot
        self._trial = trial
        self._folder = folder
        self._process = process
        self._kills = kills
        self._is_ours = True
        self.steps = steps

    def run(self) -> Outcome | None:
        """Answer the process until it ends.

        Returns:
            How the trial ended: of the kind "lost" if its process was killed; None if this run has ended it.

        Raises:
            NotOursError: If another parent owns the trial now.
            RepetitionError: If another trial has the same configuration.
        """
        try:
            outcome = self._until_outcome()
            if outcome is not None and outcome.kind in ("complete", "pruned"):
                self._supervisor.note_unused(self._trial)
        except OutsideError as problem:
            error = problem.error if problem.ends_run else None
            summary = last_line(problem.error.happened)
            outcome = Outcome("failed", reason="error", message=str(problem), summary=summary, error=error)
        except UpdateFinishedTrialError:
            self._end()
            raise NotOursError from None
        except BaseException:
            self._end()
            raise
        if outcome is not None:
            self._process.kill()  # it may still be running, e.g. after a timeout
        status = self._process.exit_status()
        shorten(self._folder.log)
        if not self._is_ours:
            raise NotOursError
        if outcome is None and not self._supervisor.stopping.is_set():
            return self._death(status)
        return outcome

    def abandon(self) -> None:
        """End the process because another parent owns its trial now; thread-safe."""
        self._is_ours = False
        self._process.kill()

    def _until_outcome(self) -> Outcome | None:
        """Answer requests until the process sends its outcome; return None if it ended without one."""
        supervisor = self._supervisor
        limit = supervisor.timeout_s if supervisor.timeout_s is not None else math.inf
        connection = self._process.connection
        shortened = time.monotonic()
        spent = 0.0  # without the time in which it waited for an answer, e.g. because the storage was unreachable
        while spent < limit:
            tick = min(_TICK_S, limit - spent)
            began = time.monotonic()
            has_news = _has_news(connection, tick)
            spent += min(time.monotonic() - began, 2 * _TICK_S)  # longer only if this parent was suspended
            if time.monotonic() - shortened >= _TICK_S:
                shorten(self._folder.log, most=4 * KEPT_BYTES)
                shortened = time.monotonic()
            if not has_news:
                self._kills = kernel_kills()
                continue
            received = _receive(connection)
            if received is None or isinstance(received, Outcome):
                return received
            _send(connection, supervisor.answer(self._slot, self._trial, received, self.steps))
        return Outcome(
            "failed", reason="timeout", message=f"The trial was ended after {limit:g} seconds (trial_timeout_s)."
        )

    def _death(self, status: int | None) -> Outcome:
        """Return the outcome of a process that sent none; without a status, its fork server died, too."""
        if status is None:
            message = "The process that starts trial processes has died."
            return Outcome("lost", reason="server", message=message, server=self._process.server)
        message = _how_it_ended(status)
        if died_of_memory(status, self._kills, self._folder.log):
            return Outcome("failed", reason="oom", message=f"{message} Memory had run out.")
        if status in KILLED:
            return Outcome("lost", reason="lost", message=message)
        if status in _MAPPED_FILE_GONE and (damaged := self._supervisor.damaged_rows(self._trial)):
            return Outcome("unusable", message=message, error=damaged)
        return Outcome("failed", reason="error", message=message)

    def _end(self) -> None:
        self._process.kill()
        self._process.exit_status()
        shorten(self._folder.log)


def _has_news(connection: Connection, within_s: float) -> bool:
    try:
        return connection.poll(within_s)
    except (OSError, EOFError):
        return True  # the process is gone, and `_receive` will return None


def _receive(connection: Connection) -> Request | Outcome | None:
    """Return the next message of a trial process; None if it is gone."""
    try:
        message: Request | Outcome = connection.recv()
    except (EOFError, ConnectionError):
        return None
    except Exception as error:  # e.g. an object whose class is in the study file
        return Outcome("failed", reason="error", message=f"The parent cannot read what the trial sent: {error}")
    return message


def _send(connection: Connection, answer: tuple[str, object]) -> None:
    with contextlib.suppress(ConnectionError):  # the process is gone, and the next `_receive` returns None
        connection.send(answer)


def _how_it_ended(status: int) -> str:
    how = f"by signal {-status}" if status < 0 else f"with exit code {status}"
    return f"The trial process ended {how} before it had a result."
