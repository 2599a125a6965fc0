"""Launchers, which start and kill trial processes and wait for their end."""

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

# The exit statuses of processes that a person or the batch system has ended: programs do not end themselves this way.
KILLED = {-getattr(signal, name) for name in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)}
_LOOK_S = 0.1


class LauncherClosedError(Exception):
    """`start` was called after `close`."""


class TrialProcess(Protocol):
    """The process of one trial.

    Attributes:
        pid: Its process id.
        connection: The pipe to it.
        server: The number of the fork server that has forked it, from 1; 0 without a fork server.
    """

    pid: int
    server: int
    connection: Connection

    def kill(self) -> None:
        """Kill the process. Safe at any time."""

    def exit_status(self) -> int | None:
        """Wait until the process and all processes that it has started have ended.

        Returns:
            The exit code, or minus the number of the signal that ended it; None if it is unknown.
        """


class Launcher(Protocol):
    """An object that starts trial processes."""

    def start(self, task: Task) -> TrialProcess:
        """Start a new process that does `task`.

        Raises:
            LauncherClosedError: If `close` has been called.
        """

    def preload(self, modules: tuple[str, ...]) -> None:
        """Import modules that trials need before they start. Call this only while no process is running."""

    def close(self) -> None:
        """Kill every process that is left. Safe at any time, from any thread."""

    def last_words(self) -> str:
        """Return the end of the output of processes that have no log."""


def new_launcher(preload: tuple[str, ...], environment: Mapping[str, str]) -> Launcher:
    """Return the fastest launcher for this platform: a fork server on Linux, new interpreters on others.

    Args:
        preload: Modules that every trial needs.
        environment: Environment variables of the trial processes.
    """
    if sys.platform == "linux":  # other platforms cannot fork, or not safely after TensorFlow's import
        return ForkServer(preload, environment)
    return Spawner(environment)


class ForkServer:
    """Starts trial processes by forking a server that has imported the modules that they need.

    If the server dies (e.g. it is killed because memory ran out), the next `start` starts a new one. `close` ends its
    trials, and it is kept for the next run of this process.
    """

    def __init__(self, preload: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self._preload = preload
        self._environment = dict(environment)
        self._lock = threading.Lock()
        self._server: Server | None = None
        self._marks: list[str] = []  # the marks of the servers so far, by which the processes below them are found
        self._n_running = 0  # processes for which `has_ended` was not called yet
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
        with contextlib.suppress(OSError):  # if it is already dead, its exit status shows it
            ours.send_bytes(payload)
        return process

    def preload(self, modules: tuple[str, ...]) -> None:
        with self._lock:
            if not set(modules) <= set(self._preload):
                self._preload = modules
                self._leave_server()

    def kill(self, pid: int) -> None:
        """Kill a process of the server, if it has not ended."""
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
        if server is None:
            return
        if server.is_alive() and (not self._n_running or server.end_trials()):
            give_back(server)
        else:
            server.stop()

    def has_ended(self) -> None:
        """Note that a process has ended."""
        with self._lock:
            self._n_running -= 1

    def end_left_behind(self, server: int) -> None:
        """End the processes that a killed server has left; `server` is its number."""
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
    """Starts each trial process as a new interpreter. This is slower, but works on every platform."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._context = multiprocessing.get_context("spawn")
        self._lock = threading.Lock()  # multiprocessing also awaits ended children whenever it starts another one
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
        with contextlib.suppress(OSError):  # if it is already dead, its exit status shows it
            ours.send_bytes(payload)
        return _Spawned(self, process, ours)

    def preload(self, modules: tuple[str, ...]) -> None:
        return None  # new interpreters share nothing

    def kill(self, process: multiprocessing.context.SpawnProcess) -> None:
        """Kill a process of this launcher, if it has not ended."""
        with self._lock:
            if process in self._processes:
                _kill_spawned(process)

    def wait(self, process: multiprocessing.context.SpawnProcess) -> int | None:
        """Wait for the end of a process and return its exit status."""
        # Processes that it has started keep the sentinel open, too.
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
        return ""  # their output goes where the parent's goes


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
