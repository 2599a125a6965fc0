"""The limits on files, processes, threads and memory, and the errors for reaching them.

What is covered: this process, which needs files and threads for all slots, and its fork server. What is not covered: a
trial process that reaches a limit itself; only its trial fails.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from autotune.disk import causes
from autotune.errors import AutotuneError, ResourceLimitError

_FILES = 30  # files that a run opens for any number of slots: 15 were counted, and MLflow or S3 need some
_FILES_PER_SLOT = 6  # 2 of the trial process, 2 of a connection to the storage, 2 while a process is started
_NO_THREAD = "can't start new thread"
_NAMES = {
    "files": ("open files", "ulimit -n"),
    "processes": ("processes and threads", "ulimit -u (and ulimit -v, since threads take memory)"),
    "memory": ("memory", "ulimit -v"),
}
_WHAT = {errno.EMFILE: "files", errno.ENFILE: "files", errno.EAGAIN: "processes", errno.ENOMEM: "memory"}


def make_room_for_files(workers: int) -> None:
    """Raise the limit on open files of this process, and of those that it starts, if its slots need more.

    Args:
        workers: The number of slots.

    Raises:
        ResourceLimitError: If this process may not raise it so far.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    others = _n_open() + _FILES
    needed = others + _FILES_PER_SLOT * workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (ValueError, OSError):
        most = (max(soft, hard) - others) // _FILES_PER_SLOT
        who = "1 slot needs" if workers == 1 else f"{workers} slots need"
        fewer = f", or use --workers {most}," if most > 0 else ""
        raise ResourceLimitError(
            f"{who} about {needed} open files, but this process may have only {max(soft, hard)}.",
            "Each slot has a process, the pipes to it, and a connection to the storage.",
            f"Allow more files (ulimit -n {needed}){fewer} and run the same command again.",
        ) from None


def _n_open() -> int:
    """Return how many files this process has open; 0 if the platform does not tell."""
    with contextlib.suppress(OSError):
        return len(os.listdir("/dev/fd"))
    return 0


@contextlib.contextmanager
def telling_exhausted() -> Iterator[None]:
    """Raise a `ResourceLimitError` in place of an error that comes from an exhausted limit."""
    try:
        yield
    except Exception as error:
        if isinstance(error, AutotuneError):
            raise
        for cause in causes(error):
            if what := _exhausted(cause):
                raise _limit_error(what, cause) from error
        raise


def _exhausted(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, RuntimeError) and _NO_THREAD in str(error):
        return "processes"
    return _WHAT.get(error.errno or 0) if isinstance(error, OSError) else None


def _limit_error(what: str, error: BaseException) -> ResourceLimitError:
    name, option = _NAMES[what]
    return ResourceLimitError(
        f"the run cannot get more {name}: {str(error) or type(error).__name__}",
        f"{_allowed(what)} See {option}, and the limits of the machine or the container.",
        "Allow more, or use fewer --workers, and run the same command again: finished trials are kept.",
    )


def _allowed(what: str) -> str:
    """Return a sentence with this process's own limit on files, processes or memory."""
    with contextlib.suppress(ImportError):
        import resource

        limits = {"files": resource.RLIMIT_NOFILE, "processes": resource.RLIMIT_NPROC, "memory": resource.RLIMIT_AS}
        soft, _ = resource.getrlimit(limits[what])
        if soft != resource.RLIM_INFINITY:
            return f"The limit is {soft:,}."
    return "This process has no limit of its own."
