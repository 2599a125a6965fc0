"""Starting, killing and awaiting trial processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection, wait
from typing import Protocol

import cloudpickle

from autotune.running.processes.child import Task, serve_one
from autotune.running.processes.descendants import end_group, end_marked, lead_session, signal_group
from autotune.running.processes.fork_server import NUMBER
from autotune.running.processes.server import Server, Surroundings, give_back, take_server

# The exit statuses of processes that somebody, or the batch system, wanted to go: nobody's program ends itself so.
KILLED = {-getattr(signal, name) for name in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)}
_LOOK_S = 0.1


class LauncherClosedError(Exception):
    """A process was asked for after everything had been ended."""


class TrialProcess(Protocol):
    """A process of its own for one trial.

    Attributes:
        pid: Its number.
        connection: The pipe to it.
        server: The number of the server that has forked it, from 1; 0 if there is none.
    """

    pid: int
    server: int
    connection: Connection

    def kill(self) -> None:
        """End the process at once, whatever it is doing. Safe at any time."""

    def exit_status(self) -> int | None:
        """Wait for the end, of what the process has started too: 0 or more an exit code, negative the signal.

        None if nobody knows.
        """


class Launcher(Protocol):
    """Something that starts trial processes."""

    def start(self, task: Task) -> TrialProcess:
        """Start a fresh process that does `task`.

        Raises:
            LauncherClosedError: If `close` has been called.
        """

    def preload(self, modules: tuple[str, ...]) -> None:
        """Have what trials need imported before they start. Call it while no process is running."""

    def close(self) -> None:
        """End every process that is left, at once. Safe at any time, from any thread."""

    def last_words(self) -> str:
        """Return the end of what processes without a log have printed."""


def new_launcher(preload: tuple[str, ...], environment: Mapping[str, str]) -> Launcher:
    """Return the fastest launcher this platform has: a fork server on Linux, fresh interpreters elsewhere.

    Args:
        preload: Modules that every trial needs.
        environment: Environment variables of the trial processes.
    """
    if sys.platform == "linux":  # elsewhere forking after TensorFlow's import is not safe, or not there
        return ForkServer(preload, environment)
    return Spawner(environment)


class ForkServer:
    """Starts trial processes by forking a process that has imported what they need.

    A server that dies (out of memory, killed by hand) is started again by the next `start`. One that has no trials any
    more is kept for the next run of this process.
    """

    def __init__(self, preload: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self._preload = preload
        self._environment = dict(environment)
        self._lock = threading.Lock()
        self._server: Server | None = None
        self._marks: list[str] = []  # of the servers so far: what they and all processes below them can be known by
        self._n_running = 0  # processes whose end nobody has seen yet
        self._closed = False

    def start(self, task: Task) -> TrialProcess:
        payload = cloudpickle.dumps(task)
        ours, theirs = multiprocessing.Pipe()
        status, status_of_theirs = os.pipe()
        with theirs, self._lock:
            try:
                self._request_fork(theirs, status_of_theirs)
                self._n_running += 1
                number = len(self._marks)
            except BaseException:
                ours.close()
                os.close(status)
                raise
            finally:
                os.close(status_of_theirs)
        process = _Forked(self, number, ours, status)
        with contextlib.suppress(OSError):  # a process that is already dead says so by its exit status
            ours.send_bytes(payload)
        return process

    def preload(self, modules: tuple[str, ...]) -> None:
        with self._lock:
            if not set(modules) <= set(self._preload):
                self._preload = modules
                self._leave_server()

    def kill(self, pid: int) -> None:
        """Kill a process of this server; one that has ended is left alone."""
        with self._lock:
            if self._server is not None:
                self._server.kill(pid)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._leave_server()

    def _request_fork(self, connection: Connection, status: int) -> None:
        if self._closed:
            raise LauncherClosedError
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._server.fork(connection, status)
                return
            self._server.stop()
        self._server = take_server(Surroundings.of_this_moment(self._preload, self._environment))
        self._marks.append(self._server.mark)
        self._server.fork(connection, status)

    def _leave_server(self) -> None:
        server, self._server = self._server, None
        if server is not None and not self._n_running and server.is_alive():
            give_back(server)
        elif server is not None:
            server.stop()

    def has_ended(self) -> None:
        """Note that somebody has seen the end of a process."""
        with self._lock:
            self._n_running -= 1

    def end_left_behind(self, server: int) -> None:
        """End what is left of the trials of a server, by its number, that was killed."""
        end_marked(self._marks[server - 1])

    def last_words(self) -> str:
        with self._lock:
            return "" if self._server is None else self._server.last_words()


class _Forked:
    def __init__(self, launcher: ForkServer, server: int, connection: Connection, status: int) -> None:
        self.connection = connection
        self.server = server
        self._launcher = launcher
        self._status = os.fdopen(status, "rb", buffering=0)
        self.pid = self._read_number() or 0
        if self.pid < 0:
            connection.close()
            self._status.close()
            launcher.has_ended()
            raise OSError(-self.pid, f"no process could be started: {os.strerror(-self.pid)}")

    def kill(self) -> None:
        self._launcher.kill(self.pid)

    def exit_status(self) -> int | None:
        self.connection.close()
        with self._status:
            status = self._read_number()
        self._launcher.has_ended()
        if status is None:
            self._launcher.end_left_behind(self.server)
        return status

    def _read_number(self) -> int | None:
        data = self._status.read(NUMBER.size)
        return NUMBER.unpack(data)[0] if data else None


class Spawner:
    """Starts each trial process as a fresh interpreter: slower, on every platform."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._context = multiprocessing.get_context("spawn")
        self._lock = threading.Lock()  # multiprocessing, too, awaits children wherever another one is started
        self._processes: set[multiprocessing.context.SpawnProcess] = set()
        self._closed = False

    def start(self, task: Task) -> TrialProcess:
        payload = cloudpickle.dumps(task)
        ours, theirs = multiprocessing.Pipe()
        with theirs, self._lock:
            if self._closed:
                ours.close()
                raise LauncherClosedError
            process = self._context.Process(target=_serve_spawned, args=(theirs, self._environment), daemon=True)
            process.start()
            self._processes.add(process)
        with contextlib.suppress(OSError):  # a process that is already dead says so by its exit status
            ours.send_bytes(payload)
        return _Spawned(self, process, ours)

    def preload(self, modules: tuple[str, ...]) -> None:
        return None  # nothing is shared between fresh interpreters

    def kill(self, process: multiprocessing.context.SpawnProcess) -> None:
        """Kill a process of this launcher; one that has ended is left alone."""
        with self._lock:
            if process in self._processes:
                _kill_spawned(process)

    def wait(self, process: multiprocessing.context.SpawnProcess) -> int | None:
        """Wait for the end of a process and return how it ended."""
        # What the process has started holds the sentinel, too.
        while not wait([process.sentinel], _LOOK_S) and self._is_alive(process):
            pass
        with self._lock:
            self._processes.discard(process)
            process.join()
            pid, status = _number_of(process), process.exitcode
            process.close()
        end_group(pid)
        return status

    def _is_alive(self, process: multiprocessing.context.SpawnProcess) -> bool:
        with self._lock:
            return process.is_alive()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for process in self._processes:
                _kill_spawned(process)

    def last_words(self) -> str:
        return ""  # they print where the parent prints


class _Spawned:
    def __init__(self, spawner: Spawner, process: multiprocessing.context.SpawnProcess, connection: Connection) -> None:
        self.connection = connection
        self._spawner = spawner
        self._process = process
        self.pid = _number_of(process)
        self.server = 0

    def kill(self) -> None:
        self._spawner.kill(self._process)

    def exit_status(self) -> int | None:
        self.connection.close()
        return self._spawner.wait(self._process)


def _kill_spawned(process: multiprocessing.context.SpawnProcess) -> None:
    if process.is_alive():
        process.kill()
        signal_group(_number_of(process), signal.SIGTERM)


def _number_of(process: multiprocessing.context.SpawnProcess) -> int:
    assert process.pid is not None  # it has been started
    return process.pid


def _serve_spawned(connection: Connection, environment: Mapping[str, str]) -> None:
    lead_session()
    multiprocessing.current_process().daemon = False  # else a trial could not use multiprocessing itself
    os.environ.update(environment)
    serve_one(connection.fileno())
