"""The log of a trial, shortened to its beginning and its end.

The trial process and every program that it starts append directly to the file. Their parent cuts out the middle of a
long log from time to time, and when the trial has ended. So no log is larger than about 4 MiB for long.

What is covered: any program that prints to its standard output or error. What is not covered: text that is printed in
the few microseconds between reading the end and cutting. Then the log lacks more bytes than it says.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

KEPT_BYTES = 1 << 20
"""How many bytes of the beginning of a log are kept, and how many of its end."""

_LONG_LINE = 4096
_NOTICE = "\n\n[{:15d} bytes were left out here: of a long log the first and the last MiB are kept]\n\n"
_NOTICES = re.compile(
    _NOTICE.format(0).replace("[", r"\[").replace("]", r"\]").replace(f"{0:15d}", r"([ \d]{15})").encode()
)


def shorten(log: Path, most: int = 2 * KEPT_BYTES + 200) -> None:
    """Replace the middle of a log that has more than `most` bytes by a notice.

    Programs may append to it at the same time. A log that cannot be changed stays as it is.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > most:
            file = os.open(log, os.O_RDWR | os.O_APPEND)  # programs may append between any two steps
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
