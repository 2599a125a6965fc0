"""A fork server that has nothing left to do: kept for the next run of the process that has started it, and ended."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from autotune.running.processes import server
from autotune.running.processes.launching import ForkServer
from autotune.running.processes.server import end_idle_servers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no fork server")


@pytest.fixture(autouse=True)
def _no_idle_servers() -> Iterator[None]:
    end_idle_servers()
    yield
    end_idle_servers()


def _hang(connection: Connection) -> None:
    connection.send(os.getppid())
    signal.pause()


def _server_of_a_run(modules: tuple[str, ...] = (), **environment: str) -> int:
    """Run a trial process as a whole run does, and return the number of its server."""
    with contextlib.closing(ForkServer(modules, environment)) as launcher:
        process = launcher.start(lambda connection: connection.send(os.getppid()))
        found: int = process.connection.recv()
        assert process.exit_status() == 0
        return found


def _has_ended(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_runs_one_after_another_have_one_server() -> None:
    assert len({_server_of_a_run() for _ in range(3)}) == 1


def test_runs_at_the_same_time_have_a_server_each() -> None:
    with contextlib.closing(ForkServer((), {})) as launcher:
        process = launcher.start(_hang)
        other = process.connection.recv()
        assert _server_of_a_run() != other
        process.kill()
        process.exit_status()


@pytest.mark.parametrize("what", ["environment", "given environment", "paths", "mask", "limits"])
def test_a_run_in_other_surroundings_has_a_server_of_its_own(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _server_of_a_run()
    given = {"AUTOTUNE_TOY": "given"} if what == "given environment" else {}
    if what == "environment":
        monkeypatch.setenv("AUTOTUNE_TOY", "set")
    if what == "paths":
        monkeypatch.syspath_prepend(tmp_path)
    limits, mask = resource.getrlimit(resource.RLIMIT_NOFILE), os.umask(0o022)
    os.umask(mask ^ 0o020 if what == "mask" else mask)
    if what == "limits":
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[0] - 1, limits[1]))
    try:
        assert _server_of_a_run(**given) != before
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        os.umask(mask)
    assert _has_ended(before)


def test_a_server_starts_each_trial_in_the_folder_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _server_of_a_run()

    def is_in(folder: Path) -> bool:
        with contextlib.closing(ForkServer((), {})) as launcher:
            process = launcher.start(lambda connection: connection.send((os.getppid(), os.stat("."))))
            found, here = process.connection.recv()
            assert process.exit_status() == 0
            assert found == before
            return os.path.samestat(here, folder.stat())

    here = tmp_path / "here"
    here.mkdir()
    assert is_in(Path.cwd())
    monkeypatch.chdir(here)
    assert is_in(here)
    former = here.rename(tmp_path / "former")
    assert is_in(former)
    here.mkdir()
    monkeypatch.chdir(here)
    assert is_in(here)
    here.rmdir()  # a trial may need no folder
    assert is_in(Path("/proc/self/cwd"))


def test_servers_that_have_imported_other_modules_wait_side_by_side() -> None:
    with_module, without = _server_of_a_run(("colorsys",)), _server_of_a_run()
    assert with_module != without
    assert (_server_of_a_run(("colorsys",)), _server_of_a_run()) == (with_module, without)


def test_a_server_whose_trials_still_run_ends_them_and_waits_for_the_next_run() -> None:
    launcher = ForkServer((), {})
    processes = [launcher.start(_hang) for _ in range(2)]
    found = {process.connection.recv() for process in processes}
    launcher.close()
    assert [process.exit_status() for process in processes] == [-signal.SIGKILL] * 2
    assert {_server_of_a_run()} == found


def test_a_server_that_does_not_end_its_trials_is_ended_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_ENDS_S", 0.01)
    launcher = ForkServer((), {})
    process = launcher.start(_hang)
    found = process.connection.recv()
    os.kill(found, signal.SIGSTOP)
    launcher.close()
    assert _has_ended(found)
    assert process.exit_status() is None


def test_a_server_that_is_killed_while_it_waits_is_replaced(until: Callable[..., None]) -> None:
    found = _server_of_a_run()
    os.kill(found, signal.SIGKILL)
    until(lambda: _has_ended(found))
    assert _server_of_a_run() != found


def test_a_server_that_nobody_needs_for_a_while_ends(
    monkeypatch: pytest.MonkeyPatch, until: Callable[..., None]
) -> None:
    monkeypatch.setattr(server, "IDLE_S", 0.0)
    found = _server_of_a_run()
    until(lambda: not Path(f"/proc/{found}").exists())  # and is awaited


def test_a_server_is_not_kept_where_there_are_no_threads_to_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(server.threading.Timer, "start", refuse)
    assert _has_ended(_server_of_a_run())


def test_what_was_printed_in_another_run_is_not_said_again() -> None:
    with contextlib.closing(ForkServer((), {})) as launcher:
        assert launcher.start(lambda _: sys.exit("some old words")).exit_status() == 1
        assert "some old words" in launcher.last_words()
    with contextlib.closing(ForkServer((), {})) as launcher:
        assert launcher.start(lambda _: sys.exit("new words")).exit_status() == 1
        assert "new words" in launcher.last_words()
        assert "some old words" not in launcher.last_words()


def test_a_fork_of_a_process_neither_keeps_its_servers_alive_nor_waits_for_its_threads(
    script: Callable[..., Any], until: Callable[..., None]
) -> None:
    code = """
import os, signal, sys, threading
from autotune.running.processes import server
from autotune.running.processes.launching import ForkServer
launcher = ForkServer((), {})
process = launcher.start(lambda connection: connection.send(os.getppid()))
found = process.connection.recv()
process.exit_status()
launcher.close()
thread = threading.Thread(target=server._changing.acquire)
thread.start()
thread.join()
if not os.fork():
    print(found, server._changing.locked(), flush=True)
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    found, is_locked = script(code).stdout.readline().split()
    assert is_locked == "False"
    until(lambda: _has_ended(int(found)))


@pytest.mark.parametrize("how", ["ended", "killed"])
def test_servers_that_wait_end_with_their_process(
    script: Callable[..., Any], until: Callable[..., None], how: str
) -> None:
    code = """
import os, signal, sys
from autotune.running.processes.launching import ForkServer
launcher = ForkServer((), {})
process = launcher.start(lambda connection: connection.send(os.getppid()))
print(process.connection.recv(), flush=True)
process.exit_status()
launcher.close()
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""
    parent = script(code, how)
    found = int(parent.stdout.readline())
    parent.wait()
    until(lambda: _has_ended(found))
