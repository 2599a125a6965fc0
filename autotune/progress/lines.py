"""Progress for files, pipes and simple terminals: one plain line for each finished trial."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console

from autotune.disk import disk_full
from autotune.progress.tally import Tally
from autotune.progress.words import line_of, running_line
from autotune.running.tracking import Event, Note, RunStarted, StepReported, TrialEnded

_SILENCE_S = 60.0  # after this time the next report prints the running trials, so that a long trial does not look dead


class LineProgress:
    """One plain line for each trial that ends, and at most one line per minute for running trials.

    Args:
        console: The console to print on.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._tally = Tally(clock)
        self._said = clock()

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, event: Event) -> None:
        with self._tally.lock:
            self._tally.note(event)
            if isinstance(event, (RunStarted, Note, TrialEnded)):
                self._say(line_of(event, self._tally))
            elif isinstance(event, StepReported) and self._clock() - self._said >= _SILENCE_S:
                self._say(running_line(self._tally))

    def _say(self, line: str) -> None:
        self._said = self._clock()
        try:
            print(line, file=self._console.file, flush=True)
        except OSError as error:
            # The pipe is closed, or the disk is full; the search goes on.
            if not isinstance(error, BrokenPipeError) and disk_full(error) is None:
                raise
