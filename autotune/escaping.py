"""Text that somebody else wrote, shown so that it cannot steer a terminal: what is not to be seen is written out.

What is written out, as Python writes it in a string (`\\x1b`, `\\u202e`): control characters, marks that turn the
direction of writing, other invisible ones, separators of lines and paragraphs, and halves of surrogate pairs. Joiners
(U+200C and U+200D) are left as they are: whole scripts, and emoji, are made with them.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any, TextIO

_WRITTEN_OUT = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # of Unicode's general categories
_JOINERS = "\u200c\u200d"
_UNUSUAL = re.compile(r"[^ -~]")
_UNUSUAL_IN_LINES = re.compile(r"[^ -~\n\t]")


def escaped(text: str) -> str:
    """Return a text that may have several lines, with what steers a terminal written out.

    Example:
        >>> print(escaped("a \\x1b[31mred\\x1b[0m\\nword"))
        a \\x1b[31mred\\x1b[0m
        word
    """
    return _UNUSUAL_IN_LINES.sub(_written_out, text)


def one_line(text: str) -> str:
    """Return a text as a single line: as `escaped` does, and ends of lines and tabs are written out, too."""
    return _UNUSUAL.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    character = found[0]
    if unicodedata.category(character) not in _WRITTEN_OUT or character in _JOINERS:
        return character
    return character.encode("unicode_escape").decode()


def say(line: str, stream: TextIO | None = None) -> None:
    """Print one line at once, whatever there is in it; on stdout if `stream` is None."""
    print(one_line(line), file=stream or sys.stdout, flush=True)


def say_json(value: Any) -> None:
    """Print a value as JSON, in which nothing steers a terminal."""
    print(json.dumps(value, indent=2).replace("\x7f", "\\u007f"))  # the only control character that JSON leaves


class EscapingStream:
    """A text stream in front of another, to which it writes text as `escaped` returns it.

    Args:
        inner: The other stream. All else that is asked of this one is asked of it.
    """

    def __init__(self, inner: TextIO) -> None:
        self.inner = inner

    def write(self, text: str) -> int:
        self.inner.write(escaped(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def escape_output() -> None:
    """Have all that this process prints escaped from now on: its own lines, warnings, tracebacks, usage."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, EscapingStream):
            continue
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(io.UnsupportedOperation):
                stream.reconfigure(errors="backslashreplace")  # what a terminal's encoding lacks
        setattr(sys, name, EscapingStream(stream))


def unescaped(stream: TextIO) -> TextIO:
    """Return the stream behind `stream`, for what writes colours of its own and escapes what others wrote itself."""
    return stream.inner if isinstance(stream, EscapingStream) else stream
