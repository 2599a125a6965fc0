"""The processes that a trial has started: they end with it, since they would hold its memory and its GPU.

A trial process leads a session of its own, so that a signal to its process group reaches nobody else. On Linux it also
adopts what its own children leave behind (it is a "child subreaper", see prctl(2)), and so does the fork server: what
the server adopts comes from trials that have ended.

What is covered on Linux: every process, also one in a session of its own, whoever is killed. What is not: a process
with an environment of its own, in a session of its own, when the fork server itself is killed. On other platforms: the
trial's process group, where there are such.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

MARK = "AUTOTUNE_FORK_SERVER"  # in the environment of all processes below a fork server
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_S = 1.0  # to end by themselves: Python's resource tracker gives back shared memory when all others have gone
_LIMIT_S = 2.0  # for those that not even SIGKILL ends at once, since they wait for a disk or a driver
_LOOK_S = 0.005


def lead_session() -> None:
    """Make this process the leader of a session and of a process group of its own, and the heir of its descendants."""
    if hasattr(os, "setsid"):
        os.setsid()
    adopt_orphans()


def adopt_orphans() -> None:
    """Become the parent of each process below this one whose own parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def signal_group(leader: int, number: int) -> None:
    """Send a signal to the process group of a trial process, if it has become a leader yet and anybody is left."""
    if hasattr(os, "killpg"):
        # On macOS it is not permitted to signal a group of processes that have all ended.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, number)


def end_group(leader: int) -> None:
    """End what is left of the process group of a trial process that has ended."""

    def left() -> list[int]:
        with contextlib.suppress(AttributeError, ProcessLookupError, PermissionError):
            os.killpg(leader, 0)
            return [-leader]
        return []

    _end(left)


def end_orphans(leaders: Iterable[int]) -> None:
    """End the children of this process that it has adopted: all but the trial processes `leaders`."""
    known = set(leaders)

    def orphans() -> list[int]:
        found = _children() - known
        for pid in found:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # those that have ended are gone at the next look
        return list(found)

    _end(orphans)


def end_marked(mark: str) -> None:
    """End every process of this user in whose environment `MARK` is `mark`."""
    entry = f"{MARK}={mark}".encode()

    def marked() -> list[int]:
        return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _has(path, entry)]

    _end(marked)


def _end(find: Callable[[], list[int]]) -> None:
    """Ask processes to end until there are none; kill those that do not, and do not wait for ever."""
    began = time.monotonic()
    asked: set[int] = set()
    while (left := find()) and (spent := time.monotonic() - began) < _LIMIT_S:
        for pid in left:
            if spent >= _GRACE_S or pid not in asked:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL if spent >= _GRACE_S else signal.SIGTERM)
            asked.add(pid)
        time.sleep(_LOOK_S)


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def _has(process: Path, entry: bytes) -> bool:
    try:
        return entry in (process / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is another user's
        return False
