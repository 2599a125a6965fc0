"""What a trial process does: receive a task, do it, end.

A task is a picklable function that takes the connection to the parent. It arrives over that connection.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from autotune.disk import disk_full
from autotune.running.processes.descendants import signal_group

Task = Callable[[Connection], None]


def serve_one(descriptor: int) -> None:
    """Do the task that comes over the connection `descriptor`, and end this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    if hasattr(os, "register_at_fork"):
        # What the trial forks may outlive it; the parent sees the trial's end when nobody holds the connection.
        left = [descriptor]  # to be closed once: to what a child of a child opens, the number may be given again
        os.register_at_fork(after_in_child=lambda: os.close(left.pop()) if left else None)
    status = 1
    try:
        connection = Connection(descriptor)
        task: Task = pickle.loads(connection.recv_bytes())
        task(connection)
        status = 0
    except EOFError:  # the parent is gone, and with it whoever ends what this process has started
        signal_group(os.getpid(), signal.SIGTERM)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)  # TensorFlow's own clean-up takes longer than the trial's last epoch


@contextlib.contextmanager
def output_to(log: Path) -> Iterator[None]:
    """Append what this process prints, native code included, to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BufferedWriter(_Log(log, "a"))
    with io.TextIOWrapper(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True) as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        sys.stdout = sys.stderr = file
        faulthandler.enable(file)
        yield


class _Log(io.FileIO):
    """A file that drops what a full disk has no room for: a trial is not lost for what it prints."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if disk_full(error) is None:
                raise
            return memoryview(data).nbytes
