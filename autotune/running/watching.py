"""A study watched from outside: the events of trials that run somewhere else, as far as the storage tells."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.running.events import EndState, Observer, StepReported, TrialEnded, TrialStarted
from autotune.search import first_value

_LOOK_S = 1.0
_LAST_LOOK_S = 2.0  # a storage that does not answer keeps nobody from ending
_ENDS: dict[TrialState, EndState] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.WAITING: "interrupted",
}


class StudyWatch:
    """What happens in a study from the making of this watch on.

    Each running trial is shown in a slot of its own, the lowest that is free: the real ones are on other machines. A
    trial that is put back and taken again between two looks is shown as one that runs on.

    Args:
        study: The study.
        observer: Told what happens.
        clock: Seconds, of a clock that never goes back.
    """

    def __init__(self, study: optuna.Study, observer: Observer, clock: Callable[[], float] = time.monotonic) -> None:
        self._study = study
        self._observer = observer
        self._clock = clock
        self._over = {t.number for t in study.get_trials(deepcopy=False) if t.state.is_finished()}
        self._slots: dict[int, int] = {}
        self._began: dict[int, float] = {}
        self._steps: dict[int, int] = {}

    def look(self) -> None:
        """Tell what has happened since the last look."""
        for trial in self._study.get_trials(deepcopy=False):
            if trial.number in self._over:
                continue
            if trial.state == TrialState.RUNNING:
                self._note_running(trial)
            elif trial.state.is_finished() or trial.number in self._slots:
                self._note_end(trial)

    @contextlib.contextmanager
    def watching(self, stopping: threading.Event) -> Iterator[None]:
        """Look again and again during a block, in a thread of its own, and once more after it.

        Args:
            stopping: Set if looking fails, to end the block.

        Raises:
            BaseException: What made looking fail, after the block.
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
        steps = sorted(trial.intermediate_values)
        if trial.number not in self._slots:
            self._slots[trial.number] = self._free_slot()
            self._began[trial.number] = self._clock()
            self._observer(TrialStarted(self._slots[trial.number], trial.number, len(steps)))
        elif len(steps) > self._steps[trial.number]:
            value = trial.intermediate_values[steps[-1]]
            self._observer(StepReported(self._slots[trial.number], trial.number, steps[-1], value))
        self._steps[trial.number] = len(steps)

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
                reason=str(trial.user_attrs.get("failure", "")) if state == "failed" else "",
                params=dict(trial.params),
                steps=len(trial.intermediate_values),
                seconds=self._seconds(trial),
            )
        )

    def _seconds(self, trial: FrozenTrial) -> float:
        """Return how long a trial has run, by the clock of its own machine; one that waits, how long it was seen to."""
        began = self._began.pop(trial.number, None)
        if trial.duration is not None:
            return trial.duration.total_seconds()
        return self._clock() - began if began is not None else 0.0

    def _free_slot(self) -> int:
        taken = set(self._slots.values())
        return next(slot for slot in range(len(taken) + 1) if slot not in taken)
