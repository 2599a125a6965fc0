"""How long a trial takes, over all the processes that it has needed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import optuna

from autotune.training.checkpoint import Checkpoint


class Timer:
    """Counts the seconds of a trial; what a killed process had spent since its last checkpoint is not in it.

    Args:
        clock: Seconds from some moment on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._fit_seconds = self._process_seconds = 0.0
        self._fitting_since: float | None = None

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Count on from what earlier processes had spent."""
        self._fit_seconds, self._process_seconds = checkpoint.fit_seconds, checkpoint.process_seconds

    @contextlib.contextmanager
    def fitting(self) -> Iterator[None]:
        """Count the seconds of a block as those of `Model.fit`."""
        self._fitting_since = self._clock()
        try:
            yield
        finally:
            self._fit_seconds, self._fitting_since = self.fit_seconds, None

    @property
    def fit_seconds(self) -> float:
        """Seconds in `Model.fit`: training, validation, checkpoints and reports."""
        running = 0.0 if self._fitting_since is None else self._clock() - self._fitting_since
        return self._fit_seconds + running

    @property
    def process_seconds(self) -> float:
        """Seconds in all: `fit_seconds`, and building, tracing and saving."""
        return self._process_seconds + self._clock() - self._began


@contextlib.contextmanager
def noting_time(trial: optuna.Trial, timer: Timer) -> Iterator[None]:
    """Leave `fit_seconds` and `process_seconds` with the trial when the block ends, well or because it was pruned."""
    try:
        yield
    except optuna.TrialPruned:
        _note(trial, timer)
        raise
    _note(trial, timer)


def _note(trial: optuna.Trial, timer: Timer) -> None:
    trial.set_user_attr("fit_seconds", timer.fit_seconds)
    trial.set_user_attr("process_seconds", timer.process_seconds)
