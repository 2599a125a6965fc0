"""The processes that a trial has started: they are ended with the trial, to free its memory and its GPU.

A trial process leads its own session, so that a signal to its process group reaches no other process. On Linux, a
trial process and the fork server also become the parent of orphans below them (a "child subreaper", see prctl(2)). The
orphans of the fork server come from trials that have ended.

What is covered on Linux: every process, also in a session of its own, whichever process is killed. If the fork server
and its parent are killed at the same time, the next run on the machine ends the rest. What is not covered: a process
with another environment, if the fork server itself is killed. On other platforms only the trial's process group is
covered, if the platform has process groups.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

MARK = "AUTOTUNE_FORK_SERVER"  # an environment variable of all processes below a fork server
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_S = 1.0  # the time to end after SIGTERM: Python's resource tracker frees shared memory after all others ended
_LIMIT_S = 2.0  # the time to end after which we stop waiting: SIGKILL must wait for a disk or a driver
_LOOK_S = 0.005


def lead_session() -> None:
    """Make this process the leader of a new session and process group, and the parent of orphans below it."""
    if hasattr(os, "setsid"):
        os.setsid()
    adopt_orphans()


def adopt_orphans() -> None:
    """Become the parent of each process below this one whose own parent ends; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def signal_group(leader: int, number: int) -> None:
    """Send a signal to the process group of a trial process, if the group exists and has processes."""
    if hasattr(os, "killpg"):
        # macOS raises PermissionError for a group whose processes have all ended.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, number)


def end_group(leader: int) -> None:
    """End the processes that are left in the group of an ended trial process."""

    def left() -> list[int]:
        with contextlib.suppress(AttributeError, ProcessLookupError, PermissionError):
            os.killpg(leader, 0)
            return [-leader]
        return []

    _end(left)


def end_orphans(leaders: Iterable[int]) -> None:
    """End the orphans that became children of this process: all children but the trial processes `leaders`."""
    known = set(leaders)

    def orphans() -> list[int]:
        found = _children() - known
        for pid in found:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # removes it if it has ended
        return list(found)

    _end(orphans)


def new_mark() -> str:
    """Return a new value of `MARK`, by which a fork server of this process and all processes below it are found."""
    return f"{os.getpid()}-{_started(os.getpid())}-{uuid.uuid4().hex}"


def end_marked(mark: str) -> None:
    """End every process of this user in whose environment `MARK` is `mark`."""
    _end(lambda: [pid for pid, found in _marked() if found == mark])


def end_abandoned() -> None:
    """End every marked process of this user whose parent, the maker of the mark, has ended."""

    def abandoned() -> list[int]:
        return [pid for pid, mark in _marked() if not _is_alive(mark)]

    _end(abandoned)


def _end(find: Callable[[], list[int]]) -> None:
    """Send SIGTERM to the processes that `find` returns, later SIGKILL; return when none is left or time is over."""
    began = time.monotonic()
    asked: set[int] = set()
    while (left := find()) and (spent := time.monotonic() - began) < _LIMIT_S:
        for pid in left:
            if spent >= _GRACE_S or pid not in asked:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL if spent >= _GRACE_S else signal.SIGTERM)
            asked.add(pid)
        time.sleep(_LOOK_S)  # reason: the kernel does not signal the end of a process that is no child


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # the thread has just ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def _marked() -> Iterator[tuple[int, str]]:
    """Yield the number and the mark of each marked process of this user in the same process namespace."""
    here = os.readlink("/proc/self/ns/pid")
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has ended, belongs to another user, or is no process
            entries = (process / "environ").read_bytes().split(b"\0")
            mark = next((entry for entry in entries if entry.startswith(MARK.encode() + b"=")), None)
            if mark is not None and os.readlink(process / "ns/pid") == here:
                yield int(process.name), mark.decode(errors="replace").partition("=")[2]


def _is_alive(mark: str) -> bool:
    """Tell whether the process that made a mark is alive; True if the mark does not tell."""
    pid, _, rest = mark.partition("-")
    return not pid.isdigit() or _started(int(pid)) == rest.partition("-")[0]


def _started(pid: int) -> str:
    """Return the start time of a process, in clock ticks since the machine started; empty if it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # see proc(5)
    except OSError:
        return ""
    return "" if state in "ZX" else fields[18]
