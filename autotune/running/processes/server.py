"""The parent's handle to a fork server, and the servers that are kept for the next run of this process.

Importing TensorFlow takes seconds, and finalizing a study takes several runs. So a server without trials is kept for a
minute.
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
from autotune.running.processes.descendants import MARK, end_abandoned, end_marked, new_mark

IDLE_S = 60.0  # how long a server without trials is kept; it takes about 300 MB of memory
_MAIN = f"from {fork_server.__name__} import main; main()"  # `-m` would load the module twice
_ENDS_S = 3.0  # a server needs less to end its trials and what they have started


@dataclass(frozen=True)
class Surroundings:
    """The properties of a server that its trials inherit, and that cannot change any more.

    Attributes:
        modules: The modules that it has imported.
        environment: Its environment variables.
        paths: The folders in which it looks for modules.
        mask: Its umask, in octal digits; empty if the kernel does not tell.
        limits: Its resource limits, and the cores that it may use.
    """

    modules: tuple[str, ...]
    environment: Mapping[str, str]
    paths: tuple[str, ...]
    mask: str
    limits: tuple[object, ...]

    @classmethod
    def of_this_moment(cls, modules: tuple[str, ...], environment: Mapping[str, str]) -> Surroundings:
        """Return the surroundings of this process, with additional environment variables."""
        import resource  # only POSIX has it, and only there are fork servers

        folder = ""
        with contextlib.suppress(FileNotFoundError):  # somebody has deleted it
            folder = os.getcwd()
        paths = tuple(path or folder for path in sys.path)
        mask = re.search(r"^Umask:\s*(\d+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
        limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
        limits_and_cores = (*limits, frozenset(os.sched_getaffinity(0)))
        return cls(modules, {**os.environ, **environment}, paths, mask[1] if mask else "", limits_and_cores)


class Server:
    """A fork server of this process.

    Args:
        surroundings: The properties that its trials inherit.

    Attributes:
        surroundings: The same.
        mark: The value of `MARK` by which it and all processes below it are found.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        end_abandoned()
        self.surroundings = surroundings
        self.mark = new_mark()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- reason: it lives as long as the server
        self._told = 0  # how many bytes of it were printed in earlier runs
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
                start_new_session=True,  # so that Ctrl-C in the terminal reaches the parent only
            )

    def fork(self, connection: Connection, status: int) -> None:
        """Request a trial process, which works in the present folder of this process.

        Args:
            connection: The trial process's end of the pipe to the parent.
            status: The descriptor to which the server writes the process id, and later the exit status.

        Raises:
            OSError: If the server has died.
        """
        folder = os.open(".", os.O_PATH | os.O_CLOEXEC)
        try:
            request = fork_server.REQUEST.pack(b"f", 0)
            socket.send_fds(self._requests, [request], [connection.fileno(), status, folder])
        finally:
            os.close(folder)

    def kill(self, pid: int) -> None:
        """Kill a process of this server, if it has not ended."""
        with contextlib.suppress(OSError):
            self._requests.sendall(fork_server.REQUEST.pack(b"k", pid))

    def end_trials(self) -> bool:
        """End all trial processes; return False if the server does not do so within seconds."""
        self._requests.settimeout(_ENDS_S)
        try:
            self._requests.sendall(fork_server.REQUEST.pack(b"e", 0))
            return self._requests.recv(1) == fork_server.ENDED
        except OSError:  # it has died, or waits for a process that the kernel cannot end
            return False
        finally:
            self._requests.settimeout(None)

    def stop(self) -> None:
        """End the server and all processes below it."""
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
        """Close the socket in a fork of this process. Otherwise the server would live as long as the fork."""
        self._requests.close()

    def is_alive(self) -> bool:
        """Tell whether the server is running."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """Return the end of the output of this run, by the server and by processes that have no log."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(self._told, size - 2000))
        return self._errors.read().decode(errors="replace").strip()

    def forget_words(self) -> None:
        """Leave the output so far out of `last_words`."""
        self._told = self._errors.seek(0, os.SEEK_END)


_idle: dict[tuple[str, ...], tuple[Server, threading.Timer]] = {}  # by their modules
_changing = threading.Lock()


def take_server(surroundings: Surroundings) -> Server:
    """Return an idle server with the same surroundings; start a new one if there is none."""
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
    """Keep a server without trials for `IDLE_S` seconds. It replaces an idle one with the same modules."""
    server.forget_words()
    timer = threading.Timer(IDLE_S, end_idle_servers, [server])
    timer.daemon = True
    with _changing:
        former, _ = _idle.pop(server.surroundings.modules, (None, None))
        try:
            timer.start()
            _idle[server.surroundings.modules] = server, timer
        except RuntimeError:  # Python cannot start another thread: do not keep the server
            former, server = server, former
    if former is not None:
        former.stop()


@atexit.register
def end_idle_servers(which: Server | None = None) -> None:
    """End all idle servers, or only one of them. This process calls it when it exits."""
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
