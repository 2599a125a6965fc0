"""A trial's log keeps its beginning and its end: whoever prints, and whatever, it takes no more than 4 MiB for long.

Everything that a trial has started appends to the file by its descriptor, so that nobody stands between a program and
what it prints. Whoever looks after the trial cuts out the middle now and then, and when the trial has ended.

What is covered: any program that prints to its standard output or error. What is not: what is printed in the few
microseconds between the last look at the end and the cut; then more of the middle is missing than the log says.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

KEPT_BYTES = 1 << 20
"""How much of the beginning of a log, and how much of its end, is kept."""

_LONG_LINE = 4096
_NOTICE = "\n\n[{:15d} bytes were left out here: of a long log the first and the last MiB are kept]\n\n"
_NOTICES = re.compile(
    _NOTICE.format(0).replace("[", r"\[").replace("]", r"\]").replace(f"{0:15d}", r"([ \d]{15})").encode()
)


def shorten(log: Path, most: int = 2 * KEPT_BYTES + 200) -> None:
    """Cut out the middle of a log that has more than `most` bytes, and say so there.

    It may be appended to meanwhile. A log that cannot be changed is left as it is.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > most:
            file = os.open(log, os.O_RDWR | os.O_APPEND)  # others may append between any two steps
            try:
                _cut(file)
            finally:
                os.close(file)


def _cut(file: int) -> None:
    notice = _read(file, KEPT_BYTES, len(_NOTICE.format(0)))
    before = _NOTICES.fullmatch(notice)
    size = os.fstat(file).st_size
    end = _read(file, size - KEPT_BYTES, KEPT_BYTES)
    end = end[end.find(b"\n", 0, _LONG_LINE) + 1 :]  # begin with a whole line
    left_out = size - KEPT_BYTES - len(end)
    if before:
        left_out += int(before[1]) - len(notice)
    os.ftruncate(file, KEPT_BYTES)
    os.write(file, _NOTICE.format(left_out).encode() + end)


def _read(file: int, position: int, most: int) -> bytes:
    os.lseek(file, position, os.SEEK_SET)
    return os.read(file, most)
