"""A timer for the phases of a trial, over all processes that have trained it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Literal

import optuna

from autotune.training.checkpoints import Checkpoint

Phase = Literal[
    "process",
    "study file",
    "data",
    "suggestions",
    "build",
    "tracing",
    "training",
    "validation",
    "checkpoints",
    "reports",
    "saving",
    "pictures",
    "the rest",
]
"""The phases of a trial, in about the order in which they occur.

"process" is the time that only its parent sees, before and after the trial process; "tracing" the first batch of
training and of validation, for which TensorFlow traces and compiles the network; "checkpoints" the time that training
waits for checkpoints; "saving" the time to save the model.
"""


class Timer:
    """Counts the seconds of a trial, except those of a killed process after its last checkpoint.

    Args:
        clock: Returns the time in seconds, from any starting point.

    Attributes:
        phases: The seconds of this process by phase, up to the last change of phase; each second counts once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._since = clock()
        self._phase: Phase = "the rest"
        self.phases: dict[Phase, float] = {}
        self._fit_seconds = self._process_seconds = 0.0
        self._fitting_since: float | None = None

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Add the seconds that earlier processes have spent."""
        self._fit_seconds, self._process_seconds = checkpoint.fit_seconds, checkpoint.process_seconds

    @contextlib.contextmanager
    def fitting(self) -> Iterator[None]:
        """Count the seconds of a block as those of `Model.fit`."""
        self._fitting_since = self._clock()
        try:
            with self.spending("the rest"):
                yield
        finally:
            self._fit_seconds, self._fitting_since = self.fit_seconds, None

    def turn_to(self, phase: Phase) -> Phase:
        """Start to count for `phase`, and return the phase before."""
        before, now = self._phase, self._clock()
        self.phases[before] = self.phases.get(before, 0.0) + now - self._since
        self._phase, self._since = phase, now
        return before

    @contextlib.contextmanager
    def spending(self, phase: Phase) -> Iterator[None]:
        """Count the seconds of a block for `phase`, except those of inner blocks."""
        before = self.turn_to(phase)
        try:
            yield
        finally:
            self.turn_to(before)

    @property
    def fit_seconds(self) -> float:
        """Seconds in `Model.fit`: training, validation, checkpoints and reports."""
        running = 0.0 if self._fitting_since is None else self._clock() - self._fitting_since
        return self._fit_seconds + running

    @property
    def process_seconds(self) -> float:
        """Seconds of all phases: `fit_seconds`, and building, tracing and saving."""
        return self._process_seconds + self._clock() - self._began


@contextlib.contextmanager
def noting_time(trial: optuna.Trial, timer: Timer) -> Iterator[None]:
    """Store `fit_seconds` and `process_seconds` with the trial when the block ends normally or the trial is pruned."""
    try:
        yield
    except optuna.TrialPruned:
        _note(trial, timer)
        raise
    _note(trial, timer)


def _note(trial: optuna.Trial, timer: Timer) -> None:
    trial.set_user_attr("fit_seconds", timer.fit_seconds)
    trial.set_user_attr("process_seconds", timer.process_seconds)
