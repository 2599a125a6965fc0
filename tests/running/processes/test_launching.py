"""Trial processes: started, answered, killed and awaited in the same way by every launcher."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cloudpickle
import pytest

from autotune.running.processes.child import Task
from autotune.running.processes.launching import ForkServer, Launcher, LauncherClosedError, Spawner, TrialProcess
from autotune.running.processes.server import end_idle_servers

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # other processes need not be able to import the tests

FORK_SERVER_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="the fork server is for Linux")
GONE = (EOFError, ConnectionResetError)  # the second if something sent had not been read
HOW_MANY = {ForkServer: 50, Spawner: 10}  # a fresh interpreter is slow


def _launcher(kind: type, environment: Mapping[str, str] = MappingProxyType({})) -> Launcher:
    return ForkServer((), environment) if kind is ForkServer else Spawner(environment)


@pytest.fixture(params=[pytest.param(ForkServer, marks=FORK_SERVER_ONLY), Spawner])
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    with contextlib.closing(_launcher(request.param)) as one:
        yield one


@pytest.fixture
def fork_server() -> Iterator[ForkServer]:
    with contextlib.closing(ForkServer((), {})) as one:
        yield one


def _answering(answer: Callable[[], object]) -> Task:
    return lambda connection: connection.send(answer())


def _hang(connection: Connection) -> None:
    connection.send(os.getpid())
    signal.pause()


def _hold(fifo: Path) -> Task:
    def task(connection: Connection) -> None:
        descriptor = os.open(fifo, os.O_WRONLY)
        connection.send(descriptor)
        signal.pause()

    return task


def _ask(launcher: Launcher, answer: Callable[[], object]) -> object:
    process = launcher.start(_answering(answer))
    value = process.connection.recv()
    assert process.exit_status() == 0
    return value


def _server_of(launcher: Launcher) -> int:
    server = _ask(launcher, os.getppid)
    assert isinstance(server, int)
    assert server not in (0, 1, os.getpid())
    return server


def test_a_task_is_done_in_another_process_and_its_answer_arrives(launcher: Launcher) -> None:
    process = launcher.start(_answering(os.getpid))
    pid = process.connection.recv()
    assert process.exit_status() == 0
    assert pid == process.pid != os.getpid()


def test_every_task_gets_a_fresh_process(launcher: Launcher) -> None:
    def mark() -> list[bool]:
        before = hasattr(os, "marked")
        os.marked = True
        return [before, hasattr(os, "marked")]

    assert [_ask(launcher, mark) for _ in range(2)] == [[False, True]] * 2


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda: None, 0),
        (lambda: os._exit(3), 3),
        (lambda: sys.exit(4), 1),
        (lambda: [][0], 1),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL),
        (os.abort, -signal.SIGABRT),
    ],
    ids=["returns", "exit code", "sys.exit", "exception", "killed", "aborted"],
)
def test_the_exit_status_says_how_the_process_ended(launcher: Launcher, end: Callable[[], object], status: int) -> None:
    process = launcher.start(lambda _: end())
    with pytest.raises(EOFError):
        process.connection.recv()
    assert process.exit_status() == status


def test_a_task_talks_with_the_parent_in_both_directions(launcher: Launcher) -> None:
    def echo(connection: Connection) -> None:
        while (message := connection.recv()) != "end":
            connection.send(message * 2)

    process = launcher.start(echo)
    for message in (1, "ab", [3]):
        process.connection.send(message)
        assert process.connection.recv() == message * 2
    process.connection.send("end")
    assert process.exit_status() == 0


def test_kill_ends_a_process_that_hangs(launcher: Launcher) -> None:
    process = launcher.start(_hang)
    assert process.connection.recv() == process.pid
    process.kill()
    with pytest.raises(EOFError):
        process.connection.recv()
    assert process.exit_status() == -signal.SIGKILL


def test_kill_after_the_end_is_harmless(launcher: Launcher) -> None:
    ended, other = launcher.start(_answering(os.getpid)), launcher.start(_hang)
    assert ended.exit_status() in (0, 1)  # 1 if its answer found nobody listening
    ended.kill()
    ended.kill()
    assert other.connection.recv() == other.pid  # and nobody else was hit
    other.kill()
    assert other.exit_status() == -signal.SIGKILL


def test_a_closed_launcher_starts_nothing(launcher: Launcher) -> None:
    launcher.close()
    with pytest.raises(LauncherClosedError):
        launcher.start(_hang)


def test_a_closed_launcher_can_be_closed_again(launcher: Launcher) -> None:
    assert _ask(launcher, lambda: 1) == 1
    launcher.close()
    launcher.close()
    assert launcher.last_words() == ""


def test_close_ends_all_processes(launcher: Launcher, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "held")
    processes = [launcher.start(_hold(tmp_path / "held")) for _ in range(3)]
    with (tmp_path / "held").open("rb") as held:
        for process in processes:
            process.connection.recv()
        launcher.close()
        assert held.read() == b""  # the end of the file comes when nobody holds it any more
    for process in processes:
        with pytest.raises(EOFError):
            process.connection.recv()
        assert process.exit_status() in (-signal.SIGKILL, None)  # None: its server has ended with it


def test_processes_started_while_the_launcher_is_closed_end_too(launcher: Launcher) -> None:
    running = threading.Semaphore(0)

    def start_until_closed() -> list[TrialProcess]:
        started = []
        with contextlib.suppress(LauncherClosedError):
            while True:
                started.append(launcher.start(_hang))
                with contextlib.suppress(*GONE):
                    started[-1].connection.recv()
                running.release()
        return started

    with ThreadPoolExecutor(4) as pool:
        threads = [pool.submit(start_until_closed) for _ in range(4)]
        for _ in range(6):
            running.acquire()
        launcher.close()
        for process in [process for thread in threads for process in thread.result()]:
            with contextlib.suppress(*GONE):
                while True:  # nothing but the end of the process ends this
                    process.connection.recv()
            assert process.exit_status() in (-signal.SIGKILL, None)


def test_processes_started_from_many_threads_get_their_own_answers(launcher: Launcher) -> None:
    def ask(number: int) -> object:
        return _ask(launcher, lambda: number)

    count = HOW_MANY[type(launcher)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(count))) == list(range(count))


def test_a_process_that_a_trial_left_behind_does_not_hide_the_end_of_the_trial(fork_server: ForkServer) -> None:
    def leave_a_child_and_crash(connection: Connection) -> None:
        left = os.fork()
        if left == 0:
            signal.pause()
        connection.send(left)
        os._exit(3)

    process = fork_server.start(leave_a_child_and_crash)
    process.connection.recv()
    with pytest.raises(EOFError):
        process.connection.recv()
    assert process.exit_status() == 3


@FORK_SERVER_ONLY
def test_what_a_child_of_a_trial_opens_stays_open_in_its_own_children(fork_server: ForkServer, tmp_path: Path) -> None:
    def task(connection: Connection) -> None:
        child = os.fork()
        if child == 0:
            files = [(tmp_path / str(n)).open("w") for n in range(20)]  # one of them gets the connection's number
            grandchild = os.fork()
            if grandchild == 0:
                for file in files:
                    file.write("written")
                    file.flush()
                os._exit(0)
            os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
        connection.send(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    process = fork_server.start(task)
    assert process.connection.recv() == 0
    assert process.exit_status() == 0


def test_nothing_can_be_read_from_the_standard_input_of_a_trial(fork_server: ForkServer) -> None:
    assert _ask(fork_server, lambda: (sys.stdin.read(), os.read(0, 1))) == ("", b"")


@FORK_SERVER_ONLY
def test_what_a_process_prints_before_it_dies_is_kept(fork_server: ForkServer) -> None:
    process = fork_server.start(lambda _: sys.exit("a famous last word"))
    assert process.exit_status() == 1
    assert "a famous last word" in fork_server.last_words()


@FORK_SERVER_ONLY
def test_a_killed_server_loses_its_children_and_the_next_start_works(fork_server: ForkServer) -> None:
    first = _server_of(fork_server)
    process = fork_server.start(_hang)
    process.connection.recv()
    os.kill(first, signal.SIGKILL)
    with pytest.raises(GONE):
        process.connection.recv()
    assert process.exit_status() is None
    assert _server_of(fork_server) != first


@FORK_SERVER_ONLY
def test_server_and_processes_end_when_the_parent_is_killed(tmp_path: Path, script: Callable[..., Any]) -> None:
    os.mkfifo(tmp_path / "held")
    # The server opens the fifo when it imports this, and its children inherit it.
    (tmp_path / "holding.py").write_text(f"HELD = open({str(tmp_path / 'held')!r}, 'wb')")
    code = f"""
import signal, sys
sys.path.append({str(tmp_path)!r})
from autotune.running.processes.launching import ForkServer
def hang(connection):
    connection.send("here")
    signal.pause()
launcher = ForkServer(("holding",), {{}})
print(launcher.start(hang).connection.recv(), flush=True)
signal.pause()
"""
    parent = script(code)
    with (tmp_path / "held").open("rb") as held:
        assert parent.stdout.readline() == "here\n"
        parent.kill()
        assert held.read() == b""


@FORK_SERVER_ONLY
def test_a_closed_launcher_leaves_no_file_open() -> None:
    end_idle_servers()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    launcher = ForkServer((), {})
    for number in range(20):
        assert _ask(launcher, lambda number=number: number) == number
    launcher.close()
    end_idle_servers()
    for _ in range(3):
        with pytest.raises(LauncherClosedError):
            launcher.start(_hang)
    assert len(os.listdir("/proc/self/fd")) == before


def test_ended_processes_leave_no_file_open_in_the_parent() -> None:
    with contextlib.closing(Spawner({})) as launcher:
        _ask(launcher, lambda: 0)
        gc.collect()
        before = len(os.listdir("/dev/fd"))
        for number in range(3):
            assert _ask(launcher, lambda number=number: number) == number
        assert len(os.listdir("/dev/fd")) == before


@FORK_SERVER_ONLY
def test_a_process_collects_its_own_garbage_and_leaves_alone_what_it_shares_with_the_server(
    fork_server: ForkServer,
) -> None:
    enabled, frozen = _ask(fork_server, lambda: (gc.isenabled(), gc.get_freeze_count()))
    assert enabled
    assert frozen > 1_000


@FORK_SERVER_ONLY
def test_preloaded_modules_are_there_before_the_task_imports_anything() -> None:
    def loaded() -> bool:
        return "colorsys" in sys.modules

    with contextlib.closing(ForkServer(("no_such_module", "colorsys"), {})) as launcher:
        assert _ask(launcher, loaded) is True
    with contextlib.closing(ForkServer((), {})) as launcher:
        assert _ask(launcher, loaded) is False


@pytest.mark.parametrize("kind", [pytest.param(ForkServer, marks=FORK_SERVER_ONLY), Spawner])
def test_environment_variables_arrive_in_the_process_alone(kind: type) -> None:
    with contextlib.closing(_launcher(kind, {"AUTOTUNE_TOY": "given"})) as launcher:
        assert _ask(launcher, lambda: os.environ.get("AUTOTUNE_TOY")) == "given"
    assert "AUTOTUNE_TOY" not in os.environ


def test_the_interrupt_key_is_the_business_of_the_parent(launcher: Launcher) -> None:
    def interrupt_itself() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "alive"

    assert _ask(launcher, interrupt_itself) == "alive"


@FORK_SERVER_ONLY
def test_a_process_with_very_many_open_files_starts_others(fork_server: ForkServer) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("needs 2,048 open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert _ask(fork_server, lambda: 7) == 7
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
