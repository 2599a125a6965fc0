"""Summaries of errors in one line: the error that a study file's code raised, and where in the file."""

from __future__ import annotations

import linecache
import re
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

from autotune.errors import AutotuneError

SUMMARY = "failure_summary"
"""The user attribute of a failed trial that gives the reason in one line."""

_MOST = 300  # characters of one message
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Lines that Keras and TensorFlow print before the message that matters.
_AROUND = re.compile(
    r"Exception encountered when calling |Could not automatically infer the output shape|Graph execution error|"
    r"Detected at node |\s*File \"|.*\(most recent call last\)|<stack traces unavailable>|\s*\[\[|"
    r"\d+ root error\(s\) found"
)
_BEHIND = re.compile(r"\s*(Arguments received by |Call arguments received by )")
_NUMBERED = re.compile(r"\s*\(\d+\) ")
_LIBRARIES = tuple(
    {str(Path(__file__).parent), *(sysconfig.get_paths()[kind] for kind in ("stdlib", "platstdlib", "purelib"))}
)


def summary_of(error: BaseException, study_file: Path | None = None) -> str:
    """Summarise an error in one line: its message, the line of the study file or a file next to it, and its cause.

    Args:
        error: The error that was raised.
        study_file: The study file, whose folder is left out of file names; None for a study made in Python.

    Returns:
        E.g. "ValueError: no such layer: 'dens' (net.py:12), from KeyError: 'dens'".
    """
    error = _innermost(error)
    summary = _described(error, study_file)
    root = _root(error)
    if root is error:
        return summary
    return f"{summary}, from {type(root).__name__}: {_text(root)}" if _text(root) else summary


def code_around(error: BaseException, lines: int = 2) -> str:
    """Return the lines of the user's own code in which an error was raised, with numbers and a mark at the line itself.

    Args:
        error: The error that was raised.
        lines: How many lines before it and after it are returned, too.

    Returns:
        E.g. "    11 | x = inputs" and ">   12 | x = dens(x)", one below the other; "" if no code of the
        user's own raised the error.
    """
    frame = _users_frame(traceback.extract_tb(_innermost(error).__traceback__))
    if frame is None or frame.lineno is None:
        return ""
    near = range(max(1, frame.lineno - lines), frame.lineno + lines + 1)
    found = [(number, linecache.getline(frame.filename, number).rstrip()) for number in near]
    while found and not found[-1][1]:
        found.pop()
    return "\n".join(f"{'>' if number == frame.lineno else ' '} {number:>4} | {text}" for number, text in found)


def place_of(frames: Iterable[traceback.FrameSummary]) -> str:
    """Return the innermost place in the user's own code, e.g. "net.py:12"; "" if all frames are those of libraries.

    Args:
        frames: The frames of a stack, the innermost one last.
    """
    frame = _users_frame(frames)
    return f"{Path(frame.filename).name}:{frame.lineno}" if frame else ""


def message_of(error: BaseException) -> str:
    """Return the text of an error. `str(error)` may itself fail, because its class may come from the study file."""
    try:
        return str(error)
    except Exception as another:
        return f"its text cannot be shown ({type(another).__name__})"


def last_line(text: str) -> str:
    """Return the last line of a text, without its indentation; "" if the text is empty."""
    lines = text.strip().splitlines()
    return lines[-1].lstrip() if lines else ""


def _described(error: BaseException, study_file: Path | None) -> str:
    name, text = type(error).__name__, _text(error)
    frame = _users_frame(traceback.extract_tb(error.__traceback__))
    if frame is None:
        return f"{name}: {text}" if text else name
    where = f"{_short(frame.filename, study_file)}:{frame.lineno}"
    if text:
        return f"{name}: {text} ({where})"
    return f"{name} ({where}: {frame.line})" if frame.line else f"{name} ({where})"


def _text(error: BaseException) -> str:
    """Return the first informative line of an error's message."""
    text = error.happened if isinstance(error, AutotuneError) else message_of(error)
    lines: list[str] = []
    for line in _COLOURS.sub("", text).splitlines():
        if lines and _BEHIND.match(line):
            break
        lines += [line] if line.strip() else []
    telling = next((line for line in lines if not _AROUND.match(line)), lines[0] if lines else "")
    telling = _NUMBERED.sub("", telling).strip()
    return telling if len(telling) <= _MOST else f"{telling[:_MOST]}..."


def _innermost(error: BaseException) -> BaseException:
    """Return the first error within a group of errors."""
    while inside := getattr(error, "exceptions", None):  # ExceptionGroup is newer than Python 3.10
        if not isinstance(inside, (tuple, list)) or not isinstance(inside[0], BaseException):
            break
        error = inside[0]
    return error


def _root(error: BaseException) -> BaseException:
    """Return the first error in the chain of causes and contexts that ends with `error`."""
    seen = {id(error)}
    while True:
        before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if before is None or id(before) in seen:
            return error
        seen.add(id(before))
        error = before


def _users_frame(frames: Iterable[traceback.FrameSummary]) -> traceback.FrameSummary | None:
    """Return the innermost frame that is in the user's own code, not in a library; None if none is."""
    return next((frame for frame in reversed([*frames]) if not _is_of_library(frame.filename)), None)


def _is_of_library(file: str) -> bool:
    if file.startswith(("<frozen", "<string>", "<__array_function__")) or file.startswith(_LIBRARIES):
        return True
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _short(file: str, study_file: Path | None) -> str:
    path = Path(file)
    if study_file is not None and path.is_relative_to(study_file.parent):
        return str(path.relative_to(study_file.parent))
    return path.name
