"""Signs that a trial process ended because memory ran out.

What is covered: Python's MemoryError, the exceptions of TensorFlow and others, C++ code that ends with std::bad_alloc,
and the kernel's out-of-memory killer (its counter also counts processes killed inside a cgroup). What is not covered: a
kernel without this counter, as in some sandboxes; there the end looks like any other SIGKILL.

`running/trial/trial_task.py` and `running/engine/supervising.py` look for these signs, and give the reason "oom".
"""

from __future__ import annotations

import signal
from pathlib import Path

_NAMES = {"ResourceExhaustedError", "OutOfMemoryError"}  # TensorFlow's; PyTorch's and CuPy's
_KILLS = "oom_kill "
_TAIL = 4000


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception, or one that led to it, says that memory ran out."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, MemoryError) or any(kind.__name__ in _NAMES for kind in type(cause).__mro__):
            return True
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return False


def kernel_kills(vmstat: Path = Path("/proc/vmstat")) -> int | None:
    """Return how many processes this kernel has killed because memory ran out; None if it does not count them."""
    try:
        lines = vmstat.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.removeprefix(_KILLS)) for line in lines if line.startswith(_KILLS)), None)


def died_of_memory(status: int, kills_before: int | None, log: Path) -> bool:
    """Tell whether a process that ended with `status` ran out of memory.

    Args:
        status: Its exit code, or minus the number of the signal that ended it.
        kills_before: The result of `kernel_kills` before it was started.
        log: Its log: only there the C++ runtime writes why it aborts.
    """
    if status == -signal.SIGKILL:
        kills = kernel_kills()
        return kills is not None and kills_before is not None and kills > kills_before
    return status == -signal.SIGABRT and b"std::bad_alloc" in _tail(log)


def _tail(path: Path) -> bytes:
    try:
        return path.read_bytes()[-_TAIL:]
    except OSError:
        return b""
