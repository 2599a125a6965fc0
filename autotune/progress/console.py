"""The console that commands print on, with its own colours and with text from others escaped."""

from __future__ import annotations

import sys

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.control import Control
from rich.segment import Segment

from autotune.escaping import escaped, unescaped


def new_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return a console on stdout, or stderr, that escapes control characters in printed text.

    Args:
        stderr: Whether it is on stderr.
        width: Its width in characters; None for that of the terminal.
    """
    console = Console(file=unescaped(sys.stderr if stderr else sys.stdout), width=width)
    console.push_render_hook(_Escaping())
    return console


class _Escaping(RenderHook):
    """Escapes the texts of what is printed; the console's own controls and styles come after it."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [one if isinstance(one, Control) else _Escaped(one) for one in renderables]


class _Escaped:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inner, options):
            yield segment if segment.control else Segment(escaped(segment.text), segment.style)
