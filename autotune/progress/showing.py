"""The choice between live table and plain lines, and their common interface."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.console import Console

from autotune.progress.lines import LineProgress
from autotune.progress.live import LiveProgress
from autotune.running.tracking import Event


class Progress(Protocol):
    """A context manager that shows a run; it may be called with events from any thread."""

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, event: Event) -> None: ...


def new_progress(console: Console) -> Progress:
    """Return a live table if `console` is a terminal that can redraw lines, else plain lines."""
    is_live = console.is_terminal and not console.is_dumb_terminal
    return LiveProgress(console) if is_live else LineProgress(console)
