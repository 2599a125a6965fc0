"""A run, shown while it goes on: live on a terminal, one plain line for each finished trial elsewhere."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from autotune.running.events import Event, Note, RunStarted, StepReported, TrialEnded, TrialStarted
from autotune.training.disk import disk_full


class Progress(Protocol):
    """Something that shows a run, as a context manager, and is told its events from any thread."""

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, event: Event) -> None: ...


class Tally:
    """What has happened in a run so far; it is told every event and is safe in any thread."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.run: RunStarted | None = None
        self.finished = 0
        self.states: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.best: TrialEnded | None = None
        self.slots: dict[int, tuple[TrialStarted, StepReported | None]] = {}
        self.started = time.monotonic()

    def note(self, event: Event) -> None:
        """Take an event into account."""
        if isinstance(event, RunStarted):
            self.run, self.finished, self.started = event, event.finished, time.monotonic()
        elif isinstance(event, TrialStarted):
            self.slots[event.slot] = (event, None)
        elif isinstance(event, StepReported):
            self.slots[event.slot] = (self.slots[event.slot][0], event)
        elif isinstance(event, TrialEnded):
            self._note_end(event)

    def _note_end(self, event: TrialEnded) -> None:
        self.slots.pop(event.slot, None)
        self.states[event.state] += 1
        if event.finished is not None:
            self.finished = max(self.finished, event.finished)
        elif event.state in ("complete", "pruned"):
            self.finished += 1
        if event.state == "failed":
            self.failures[event.reason] += 1
        if event.value is not None and (self.best is None or self._is_better(event.value, self.best.value or 0.0)):
            self.best = event

    def _is_better(self, value: float, other: float) -> bool:
        return value > other if self.run and self.run.direction == "maximize" else value < other

    def seconds_left(self) -> float | None:
        """Return the time to the last trial at the speed of this run so far; None before its first trial."""
        done = self.states["complete"] + self.states["pruned"]
        if self.run is None or not done:
            return None
        return (self.run.n_trials - self.finished) * (time.monotonic() - self.started) / done


class LineProgress:
    """One plain line for each trial that ends: for files, pipes and continuous integration.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tally = Tally()

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
                try:
                    print(_line(event, self._tally), file=self._console.file, flush=True)
                except OSError as error:
                    # Nobody reads any more, or the file has no room; the search goes on.
                    if not isinstance(error, BrokenPipeError) and disk_full(error) is None:
                        raise


class LiveProgress:
    """A table that follows the slots, below the lines of the trials that have ended.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tally = Tally()
        self._live = Live(console=console, get_renderable=self.view, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveProgress:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def __call__(self, event: Event) -> None:
        with self._tally.lock:
            self._tally.note(event)
            line = _line(event, self._tally) if isinstance(event, (RunStarted, Note, TrialEnded)) else None
        if isinstance(event, Note):
            self._console.print(Text(line or ""))  # to its end: it is there to be read
        elif line is not None:
            self._console.print(Text(line), overflow="ellipsis", no_wrap=True)

    def view(self) -> RenderableType:
        """Return what the terminal shows at this moment."""
        with self._tally.lock:
            if self._tally.run is None:
                return Text(f"Loading the study and its libraries ... {time.monotonic() - self._tally.started:.0f} s")
            return Group(_headline(self._tally), _slot_table(self._tally))


def new_progress(console: Console) -> Progress:
    """Return the way to show a run that fits `console`."""
    return LiveProgress(console) if console.is_terminal else LineProgress(console)


def _line(event: RunStarted | Note | TrialEnded, tally: Tally) -> str:
    if isinstance(event, Note):
        return f"trial {event.number}: {event.text}" if event.number is not None else event.text
    if isinstance(event, RunStarted):
        slots = f"{event.slots} slot{'s' if event.slots > 1 else ''}"
        return f"{event.name}: {event.finished} of {event.n_trials} trials finished; {slots}"
    of = tally.run.n_trials if tally.run else 0
    value = f" {event.value:.6g}" if event.value is not None else ""
    reason = f" ({event.reason})" if event.reason else ""
    steps = f" after {event.steps} epochs" if event.steps and tally.run and tally.run.epochs else ""
    params = " ".join(f"{name}={_short(value)}" for name, value in event.params.items())
    end = f"{event.state}{value}{reason}{steps}, {event.seconds:.1f} s"
    return f"[{tally.finished}/{of}] trial {event.number} {end}: {params}"


def _headline(tally: Tally) -> Text:
    assert tally.run is not None
    parts = [f"{tally.run.name}: {tally.finished}/{tally.run.n_trials} finished"]
    if tally.best is not None:
        parts.append(f"best {tally.best.value:.6g} (trial {tally.best.number})")
    parts += [f"{tally.states['pruned']} pruned"] if tally.states["pruned"] else []
    parts += [f"{count} failed ({reason})" for reason, count in tally.failures.items()]
    left = tally.seconds_left()
    parts += [f"about {_duration(left)} left"] if left is not None else []
    return Text(", ".join(parts), style="bold")


def _slot_table(tally: Tally) -> Table:
    assert tally.run is not None
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("slot", "trial", "epoch" if tally.run.epochs else "step", "value"):
        table.add_column(column, justify="right", no_wrap=True)
    for slot, (trial, step) in sorted(tally.slots.items()):
        of = f"/{tally.run.epochs}" if tally.run.epochs else ""
        at = step.step if step else trial.reported_steps
        table.add_row(str(slot), str(trial.number), f"{at}{of}", f"{step.value:.6g}" if step else "")
    return table


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
