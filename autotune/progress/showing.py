"""The way to show a run that fits a console, and what every such way can do."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.console import Console

from autotune.progress.lines import LineProgress
from autotune.progress.live import LiveProgress
from autotune.running.tracking import Event


class Progress(Protocol):
    """Something that shows a run, as a context manager, and is told its events from any thread."""

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, event: Event) -> None: ...


def new_progress(console: Console) -> Progress:
    """Return the way to show a run that fits `console`: a terminal that can do no more than print gets plain lines."""
    is_live = console.is_terminal and not console.is_dumb_terminal
    return LiveProgress(console) if is_live else LineProgress(console)
