"""Events of a study that other processes run, found by reading its storage."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.running.claims import slots_at_work
from autotune.running.study import FINISHED, WHY_OVER, StudySettings
from autotune.running.tracking.events import (
    EndState,
    FoldFinished,
    Observer,
    RunStarted,
    StepReported,
    TrialEnded,
    TrialStarted,
)
from autotune.running.tracking.trial_summaries import failure_reason, last_words, mean_seconds, most_folds, run_started
from autotune.search.history import first_value
from autotune.training.records import n_finished_folds

_LOOK_S = 1.0
_LOOK_ELSEWHERE_S = 2.0  # rarer if this process only watches, so that it hardly slows the storage
_LAST_LOOK_S = 2.0  # how long the end of a block waits for a storage that does not answer
_ENDS: dict[TrialState, EndState] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.WAITING: "interrupted",
}


class StudyWatch:
    """Sends the events of a study since this watch was created.

    Each running trial gets the lowest free slot number, because the real slots are on other machines. A trial that is
    put back and claimed again between two looks seems to go on running.

    Args:
        study: The study.
        observer: Receives the events.
        clock: Returns seconds; must never go back.

    Attributes:
        before: The trials at the creation of this watch, whose events are not sent.
    """

    def __init__(self, study: optuna.Study, observer: Observer, clock: Callable[[], float] = time.monotonic) -> None:
        self._study = study
        self._observer = observer
        self._clock = clock
        self.before = study.get_trials(deepcopy=False)
        self._over = {trial.number for trial in self.before if trial.state.is_finished()}
        self._slots: dict[int, int] = {}
        self._began: dict[int, float] = {}
        self._steps: dict[int, set[int]] = {}
        self._folds: dict[int, int] = {}

    def look(self) -> None:
        """Send the events since the last look."""
        for trial in self._study.get_trials(deepcopy=False):
            if trial.number in self._over:
                continue
            if trial.state == TrialState.RUNNING:
                self._note_running(trial)
            elif trial.state.is_finished() or trial.number in self._slots:
                self._note_end(trial)

    @contextlib.contextmanager
    def watching(self, stopping: threading.Event) -> Iterator[None]:
        """Look regularly in a separate thread during the block, and once more after it.

        Args:
            stopping: Is set if looking fails, so that the block ends.

        Raises:
            BaseException: The error of a look that failed, after the block.
        """
        over = threading.Event()
        errors: list[BaseException] = []

        def keep_looking() -> None:
            try:
                while not over.wait(_LOOK_S):
                    self.look()
                self.look()
            except BaseException as error:
                errors.append(error)
                stopping.set()

        thread = threading.Thread(target=keep_looking, name="autotune-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(_LAST_LOOK_S)
        if errors:
            raise errors[0]

    def _note_running(self, trial: FrozenTrial) -> None:
        number, folds = trial.number, n_finished_folds(trial.user_attrs)
        if number not in self._slots:
            self._slots[number] = self._free_slot()
            self._began[number] = self._clock()
            since_s = _seconds_since(trial.datetime_start)
            self._observer(TrialStarted(self._slots[number], number, dict(trial.intermediate_values), folds, since_s))
        else:
            self._note_progress(trial, folds)
        self._steps[number], self._folds[number] = set(trial.intermediate_values), folds

    def _note_progress(self, trial: FrozenTrial, folds: int) -> None:
        slot = self._slots[trial.number]
        if folds > self._folds[trial.number]:
            self._observer(FoldFinished(slot, trial.number, folds))
        for step in sorted(set(trial.intermediate_values) - self._steps[trial.number]):
            self._observer(StepReported(slot, trial.number, step, trial.intermediate_values[step]))

    def _note_end(self, trial: FrozenTrial) -> None:
        slot = self._slots.pop(trial.number, None)
        state = _ENDS[trial.state]
        if state != "interrupted":
            self._over.add(trial.number)
        self._observer(
            TrialEnded(
                slot=self._free_slot() if slot is None else slot,
                number=trial.number,
                state=state,
                value=first_value(trial) if state == "complete" else None,
                reason=failure_reason(trial) if state == "failed" else "",
                why=last_words(trial) if state == "failed" else "",
                params=dict(trial.params),
                steps=len(trial.intermediate_values),
                seconds=self._seconds(trial),
                finished_folds=n_finished_folds(trial.user_attrs),
            )
        )

    def _seconds(self, trial: FrozenTrial) -> float:
        """Return how many seconds a trial ran by its machine's clock; if it waits, how long it was seen to run."""
        began = self._began.pop(trial.number, None)
        if trial.duration is not None:
            return trial.duration.total_seconds()
        return self._clock() - began if began is not None else 0.0

    def _free_slot(self) -> int:
        taken = set(self._slots.values())
        return next(slot for slot in range(len(taken) + 1) if slot not in taken)


def watch_study(
    study: optuna.Study,
    settings: StudySettings,
    observer: Observer,
    pause: Callable[[float], object] = time.sleep,
    folder: Path | None = None,
) -> None:
    """Send the events of a study that other processes run, until its trials are finished or no parent runs it.

    This reads the storage every two seconds and writes nothing to it.

    Args:
        study: The study.
        settings: Its stored settings.
        observer: Receives the events.
        pause: Waits so many seconds.
        folder: Its folder, `RUN_DIR/NAME`; None if it is unknown.
    """
    watch = StudyWatch(study, observer)
    observer(_watched(study, settings, watch.before, folder))
    is_over = False
    while not is_over:
        is_over = _is_over(study, settings, folder)  # before the look, so that the last look sees everything
        watch.look()
        if not is_over:
            pause(_LOOK_ELSEWHERE_S)


def _watched(
    study: optuna.Study, settings: StudySettings, trials: Sequence[FrozenTrial], folder: Path | None
) -> RunStarted:
    running = sum(trial.state == TrialState.RUNNING for trial in trials)
    slots = max(running, slots_at_work(study, trials, folder))
    started = run_started(study, trials, settings, slots, most_folds(trials))
    return dataclasses.replace(started, is_elsewhere=True, mean_trial_s=mean_seconds(trials))


def _is_over(study: optuna.Study, settings: StudySettings, folder: Path | None) -> bool:
    trials = study.get_trials(deepcopy=False)
    if not slots_at_work(study, trials, folder):
        return True
    finished = sum(trial.state in FINISHED for trial in trials)
    has_ended = finished >= settings.n_trials or study.user_attrs.get(WHY_OVER) is not None
    return has_ended and not any(trial.state == TrialState.RUNNING for trial in trials)


def _seconds_since(start: datetime.datetime | None) -> float:
    """Return the seconds since a trial's start: for display only, because it compares clocks of two machines."""
    return max(0.0, (datetime.datetime.now() - start).total_seconds()) if start else 0.0
