"""Whether a trial died of too little memory, as far as anybody can tell.

What is covered: Python's MemoryError, the exceptions that TensorFlow and others raise, C++ code that ends with
std::bad_alloc, and the kernel's killer (its counter also counts processes killed inside a cgroup). What is not
covered: a kernel that does not count, as in some sandboxes; such a death looks like one by anybody's SIGKILL.
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
    """Return how many processes this kernel has killed for lack of memory; None if it does not say."""
    try:
        lines = vmstat.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.removeprefix(_KILLS)) for line in lines if line.startswith(_KILLS)), None)


def died_of_memory(status: int, kills_before: int | None, log: Path) -> bool:
    """Tell whether a process that ended with `status` ran out of memory.

    Args:
        status: Its exit code; negative for the signal that ended it.
        kills_before: What `kernel_kills` said before it was started.
        log: Where it printed: the C++ runtime says there, and nowhere else, why it aborts.
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
