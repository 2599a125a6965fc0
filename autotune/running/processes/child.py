"""The main function of a trial process: receive a task, do it, end.

A task is a picklable function that takes the connection to the parent. The parent sends it through that connection.
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
    """Receive a task through the connection `descriptor`, do it, and end this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    if hasattr(os, "register_at_fork"):
        # A child that the trial forks may outlive it. It must not keep the connection open, by which the parent sees
        # the trial's end.
        left = [descriptor]  # close it only once: in a child of a child the number may belong to another file
        os.register_at_fork(after_in_child=lambda: os.close(left.pop()) if left else None)
    status = 1
    try:
        connection = Connection(descriptor)
        task: Task = pickle.loads(connection.recv_bytes())
        task(connection)
        status = 0
    except EOFError:  # the parent is gone, so this process must end what it has started
        signal_group(os.getpid(), signal.SIGTERM)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)  # skips TensorFlow's clean-up, which may take longer than an epoch


@contextlib.contextmanager
def output_to(log: Path) -> Iterator[None]:
    """Append the output of this process, also of its native code, to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BufferedWriter(_Log(log, "a"))
    with io.TextIOWrapper(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True) as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        sys.stdout = sys.stderr = file
        faulthandler.enable(file)
        yield


class _Log(io.FileIO):
    """A file that drops output if the disk is full, so that printing never ends a trial."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if disk_full(error) is None:
                raise
            return memoryview(data).nbytes
