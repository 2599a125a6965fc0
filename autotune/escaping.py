"""Escape invisible characters in text from others, so that the text cannot control the terminal that shows it.

These characters are shown as Python writes them in a string (`\\x1b`, `\\u202e`): control characters, marks that change
the direction of writing, other invisible ones, separators of lines and paragraphs, and halves of surrogate pairs.
Joiners (U+200C and U+200D) stay as they are, because many scripts, and emoji, need them.
"""

from __future__ import annotations

import contextlib
import html
import io
import json
import re
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any, TextIO

_ESCAPED_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # general categories of Unicode
_JOINERS = "\u200c\u200d"
_UNUSUAL = re.compile(r"[^ -~]")
_UNUSUAL_IN_LINES = re.compile(r"[^ -~\n\t]")


def escaped(text: str) -> str:
    """Return `text` with its invisible characters escaped; line ends and tabs stay.

    Example:
        >>> print(escaped("a \\x1b[31mred\\x1b[0m\\nword"))
        a \\x1b[31mred\\x1b[0m
        word
    """
    return _UNUSUAL_IN_LINES.sub(_escape_match, text)


def one_line(text: str) -> str:
    """Return `text` as a single line: like `escaped`, but line ends and tabs are escaped too."""
    return _UNUSUAL.sub(_escape_match, text)


def as_html(text: str) -> str:
    """Return plain text for an HTML page, like `escaped`: a mark of direction would turn what stands behind it.

    Example:
        >>> as_html("<b> \\u202ecod")
        '&lt;b&gt; \\\\u202ecod'
    """
    return html.escape(escaped(text))


def _escape_match(found: re.Match[str]) -> str:
    character = found[0]
    if unicodedata.category(character) not in _ESCAPED_CATEGORIES or character in _JOINERS:
        return character
    return character.encode("unicode_escape").decode()


def say(line: str, stream: TextIO | None = None) -> None:
    """Print `line` escaped, as one line, and flush; on stdout if `stream` is None."""
    print(one_line(line), file=stream or sys.stdout, flush=True)


def say_json(value: Any) -> None:
    """Print a value as JSON, with all control characters escaped."""
    print(json.dumps(value, indent=2).replace("\x7f", "\\u007f"))  # JSON itself escapes all other control characters


class EscapingStream:
    """A text stream that escapes what is written to it and passes it on to another stream.

    Args:
        inner: The other stream. All attributes except `write` and `writelines` are its own.
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
    """Escape everything that this process prints from now on: its own lines, warnings, tracebacks, usage."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, EscapingStream):
            continue
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(io.UnsupportedOperation):
                stream.reconfigure(errors="backslashreplace")  # for characters that the terminal's encoding lacks
        setattr(sys, name, EscapingStream(stream))


def unescaped(stream: TextIO) -> TextIO:
    """Return the stream behind an `EscapingStream`, for callers that print colours and escape text themselves."""
    return stream.inner if isinstance(stream, EscapingStream) else stream
