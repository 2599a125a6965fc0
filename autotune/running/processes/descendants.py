"""The processes that a trial has started: they end with it, since they would hold its memory and its GPU.

A trial process leads a session of its own, so that a signal to its process group reaches nobody else. On Linux it also
adopts what its own children leave behind (it is a "child subreaper", see prctl(2)), and so does the fork server: what
the server adopts comes from trials that have ended.

What is covered on Linux: every process, also one in a session of its own, whoever is killed; where the fork server and
its parent are killed at once, the next run on the machine ends what they have left. What is not: a process that has
been given another environment, when the fork server itself is killed. On other platforms: the trial's process group,
where there are such.
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


def new_mark() -> str:
    """Return what a fork server of this process, and all processes below it, can be known by."""
    return f"{os.getpid()}-{_started(os.getpid())}-{uuid.uuid4().hex}"


def end_marked(mark: str) -> None:
    """End every process of this user in whose environment `MARK` is `mark`."""
    _end(lambda: [pid for pid, found in _marked() if found == mark])


def end_forsaken() -> None:
    """End every process of this user that is marked, and whose mark was made by a process that has ended."""

    def forsaken() -> list[int]:
        return [pid for pid, mark in _marked() if not _is_alive(mark)]

    _end(forsaken)


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
        time.sleep(_LOOK_S)  # reason: nobody tells of the end of a process that is no child


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def _marked() -> Iterator[tuple[int, str]]:
    """Yield the processes of this user that have a mark, and the mark, as far as numbers of processes mean the same."""
    here = os.readlink("/proc/self/ns/pid")
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has ended, is another user's, or no process at all
            entries = (process / "environ").read_bytes().split(b"\0")
            mark = next((entry for entry in entries if entry.startswith(MARK.encode() + b"=")), None)
            if mark is not None and os.readlink(process / "ns/pid") == here:
                yield int(process.name), mark.decode(errors="replace").partition("=")[2]


def _is_alive(mark: str) -> bool:
    """Tell whether the process lives that has made a mark; yes if nobody can say."""
    pid, _, rest = mark.partition("-")
    return not pid.isdigit() or _started(int(pid)) == rest.partition("-")[0]


def _started(pid: int) -> str:
    """Return when a process was started, in ticks since the machine was; empty if it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # see proc(5)
    except OSError:
        return ""
    return "" if state in "ZX" else fields[18]
