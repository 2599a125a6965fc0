"""A fork server, seen from the process that has started it, and servers that wait for the next run of this process.

Importing TensorFlow takes seconds, and a finalization is several runs: a server that has nothing left to do is kept for
a minute.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from autotune.running.processes import fork_server
from autotune.running.processes.descendants import MARK, end_forsaken, end_marked, new_mark

IDLE_S = 60.0  # for how long a server without trials is kept; it has some 300 MB
_MAIN = f"from {fork_server.__name__} import main; main()"  # `-m` would run it a second time, beside the room's own
_ENDS_S = 3.0  # a server that is told to end ends its trials, and what they have started, in less


@dataclass(frozen=True)
class Surroundings:
    """What a server hands down to its trials, and cannot change any more.

    Attributes:
        modules: What it has imported.
        environment: Its environment variables.
        paths: Where it looks for modules.
        folder: Its working directory: the path, empty if that is gone, with device and inode.
        mask: The permissions that new files do not get; empty where the kernel does not say.
        limits: What it may have of files, memory and time, and the cores that it may use.
    """

    modules: tuple[str, ...]
    environment: Mapping[str, str]
    paths: tuple[str, ...]
    folder: tuple[str, int, int]
    mask: str
    limits: tuple[object, ...]

    @classmethod
    def of_this_moment(cls, modules: tuple[str, ...], environment: Mapping[str, str]) -> Surroundings:
        """Return those of this process, with further environment variables."""
        import resource  # POSIX alone has it, as it has fork servers

        folder = "", 0, 0
        with contextlib.suppress(OSError):
            here = os.stat(".")
            folder = os.getcwd(), here.st_dev, here.st_ino
        paths = tuple(path or folder[0] for path in sys.path)
        mask = re.search(r"^Umask:\s*(\d+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
        limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
        limits_and_cores = (*limits, frozenset(os.sched_getaffinity(0)))
        return cls(modules, {**os.environ, **environment}, paths, folder, mask[1] if mask else "", limits_and_cores)


class Server:
    """A fork server of this process.

    Args:
        surroundings: What its trials are to be born into.

    Attributes:
        surroundings: The same.
        mark: What it and all processes below it can be known by.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        end_forsaken()
        self.surroundings = surroundings
        self.mark = new_mark()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- reason: it lives as long as the server
        self._told = 0  # how much of it has been said in other runs
        self._requests, theirs = socket.socketpair()
        command = [sys.executable, "-c", _MAIN, str(theirs.fileno()), *surroundings.modules]
        environment = {**surroundings.environment, "PYTHONPATH": os.pathsep.join(surroundings.paths), MARK: self.mark}
        with theirs:
            self._process = subprocess.Popen(
                command,
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                start_new_session=True,  # a Ctrl-C in the terminal reaches the parent alone
            )

    def fork(self, connection: Connection, status: int) -> None:
        """Ask for a trial process with a connection, whose number and end are written to a pipe.

        Raises:
            OSError: If the server has died.
        """
        socket.send_fds(self._requests, [fork_server.REQUEST.pack(b"f", 0)], [connection.fileno(), status])

    def kill(self, pid: int) -> None:
        """Kill a process of this server; one that has ended is left alone."""
        with contextlib.suppress(OSError):
            self._requests.sendall(fork_server.REQUEST.pack(b"k", pid))

    def stop(self) -> None:
        """End it and everything below it."""
        self._requests.close()
        self._process.terminate()
        try:
            self._process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the kernel ends its children with it
            self._process.wait()
        if self._process.returncode != 0:
            end_marked(self.mark)
        self._errors.close()

    def leave(self) -> None:
        """Let go of it in a fork of the process that has started it: else it would live as long as the fork."""
        self._requests.close()

    def is_alive(self) -> bool:
        """Tell whether it has not been killed."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """Return the end of what it, and processes without a log, have printed in this run."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(self._told, size - 2000))
        return self._errors.read().decode(errors="replace").strip()

    def forget_words(self) -> None:
        """Begin anew with what has been printed."""
        self._told = self._errors.seek(0, os.SEEK_END)


_idle: dict[tuple[str, ...], tuple[Server, threading.Timer]] = {}  # by their modules
_changing = threading.Lock()


def take_server(surroundings: Surroundings) -> Server:
    """Return a server that waits, if there is one with such surroundings, or start one."""
    with _changing:
        server, timer = _idle.pop(surroundings.modules, (None, None))
    if server is None or timer is None:
        return Server(surroundings)
    timer.cancel()
    if server.surroundings == surroundings and server.is_alive():
        return server
    server.stop()
    return Server(surroundings)


def give_back(server: Server) -> None:
    """Keep a server that has no trials for a while, in place of another one with the same modules."""
    server.forget_words()
    timer = threading.Timer(IDLE_S, end_idle_servers, [server])
    timer.daemon = True
    with _changing:
        former, _ = _idle.pop(server.surroundings.modules, (None, None))
        try:
            timer.start()
            _idle[server.surroundings.modules] = server, timer
        except RuntimeError:  # there are no more threads to be had
            former, server = server, former
    if former is not None:
        former.stop()


@atexit.register
def end_idle_servers(which: Server | None = None) -> None:
    """End the servers that wait for the next run, or one of them, as this process does at its end."""
    with _changing:
        ended = [(server, timer) for server, timer in _idle.values() if which in (None, server)]
        for server, _ in ended:
            del _idle[server.surroundings.modules]
    for server, timer in ended:
        timer.cancel()
        server.stop()


def _leave_idle() -> None:
    global _changing
    _changing = threading.Lock()  # another thread of the parent may have held it
    for server, _ in _idle.values():
        server.leave()
    _idle.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_leave_idle)
