"""Paths that one trial process at a time may write, on one machine.

All of them are locks of single bytes of one file. The system removes the locks of a process when it ends, however it
ends, and its children do not have them.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # not POSIX
    fcntl = None  # type: ignore[assignment]  # reason: without it each path counts as claimed

_MOST = 2**62  # bytes of a file that can be locked


class ClaimedPaths:
    """The paths that this process has claimed.

    Args:
        file: The file with the locks, whose folder is made if needed. Other programs must not open it.

    Raises:
        OSError: If the file cannot be opened.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)

    def has(self, path: Path) -> bool:
        """Claim a path; return False if another process has claimed it."""
        if fcntl is None:
            return True
        place = int.from_bytes(hashlib.sha256(os.fsencode(path)).digest(), "big") % _MOST
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # the file system has no locks
            return True
        return True
