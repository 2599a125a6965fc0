"""Whatever a trial has started ends with the trial, however it ends, and nobody else does."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing import shared_memory
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import cloudpickle
import pytest

from autotune.running.processes.child import Task
from autotune.running.processes.launching import ForkServer, Launcher, Spawner, TrialProcess

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # other processes need not be able to import the tests

FORK_SERVER_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="the fork server is for Linux")


def _launcher(kind: type) -> Launcher:
    return ForkServer((), {}) if kind is ForkServer else Spawner({})


@pytest.fixture(params=[pytest.param(ForkServer, marks=FORK_SERVER_ONLY), Spawner])
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    with contextlib.closing(_launcher(request.param)) as one:
        yield one


@pytest.fixture
def fork_server() -> Iterator[ForkServer]:
    with contextlib.closing(ForkServer((), {})) as one:
        yield one


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """Give a fifo that processes hold open: whoever reads it is told when the last of them has ended."""
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    return fifo


def _left_behind(held: Path, then: Callable[[], object], away: bool = False, stubborn: bool = False) -> Task:
    """Return a task that starts two generations of processes, says so, and ends as `then` does.

    Args:
        held: What the processes hold.
        then: How the trial itself ends.
        away: Whether they leave the trial's session.
        stubborn: Whether they do not end when they are asked to.
    """

    def hold(ready: int) -> None:
        file = os.open(held, os.O_WRONLY)
        if stubborn:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(ready, b"x")
        while True:
            signal.pause()
            os.fstat(file)

    def task(connection: Connection) -> None:
        ready, when_ready = os.pipe()
        if os.fork() == 0:
            if away:
                os.setsid()
            if os.fork() == 0:
                if away:
                    os.setsid()
                hold(when_ready)
            hold(when_ready)
        for _ in range(2):
            os.read(ready, 1)
        connection.send("ready")
        then()

    return task


def _is_released(held: Path, process: TrialProcess) -> bool:
    """Wait until nobody holds `held`, which a task was to hold that has begun."""
    with held.open("rb") as file:
        assert process.connection.recv() == "ready"
        with contextlib.suppress(EOFError, ConnectionError):
            process.connection.recv()
        process.exit_status()
        return file.read() == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_a_trial_that_signals_its_process_group_ends_itself_alone(launcher: Launcher, number: int) -> None:
    other = launcher.start(lambda connection: connection.send(connection.recv()))
    process = launcher.start(lambda _: os.killpg(0, number))
    assert process.exit_status() == -number
    other.connection.send("still here")
    assert other.connection.recv() == "still here"
    assert other.exit_status() == 0


@FORK_SERVER_ONLY
@pytest.mark.parametrize(
    "end",
    [
        lambda: None,
        lambda: [][0],
        lambda: os._exit(3),
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        os.abort,
    ],
    ids=["returns", "exception", "exit code", "killed", "aborted"],
)
def test_what_a_trial_has_started_ends_with_it(fork_server: ForkServer, held: Path, end: Callable[[], object]) -> None:
    assert _is_released(held, fork_server.start(_left_behind(held, end)))


def test_what_a_trial_has_started_ends_when_the_trial_is_killed(launcher: Launcher, held: Path) -> None:
    process = launcher.start(_left_behind(held, signal.pause))
    with held.open("rb") as file:
        assert process.connection.recv() == "ready"
        process.kill()
        assert process.exit_status() == -signal.SIGKILL
        assert file.read() == b""


def test_what_does_not_end_when_it_is_asked_to_is_killed(launcher: Launcher, held: Path) -> None:
    assert _is_released(held, launcher.start(_left_behind(held, lambda: None, stubborn=True)))


def test_what_trials_have_started_ends_when_the_launcher_is_closed(launcher: Launcher, held: Path) -> None:
    process = launcher.start(_left_behind(held, signal.pause))
    with held.open("rb") as file:
        assert process.connection.recv() == "ready"
        launcher.close()
        process.exit_status()
        assert file.read() == b""


@FORK_SERVER_ONLY
@pytest.mark.parametrize("end", [lambda: None, lambda: os.kill(os.getpid(), signal.SIGKILL)])
def test_what_has_left_the_session_of_its_trial_ends_with_the_trial(
    fork_server: ForkServer, held: Path, end: Callable[[], object]
) -> None:
    assert _is_released(held, fork_server.start(_left_behind(held, end, away=True)))


@FORK_SERVER_ONLY
@pytest.mark.parametrize("away", [False, True])
def test_what_trials_have_started_ends_when_their_server_is_killed(
    fork_server: ForkServer, held: Path, away: bool
) -> None:
    asking = fork_server.start(lambda connection: connection.send(os.getppid()))
    server = cast(int, asking.connection.recv())
    asking.exit_status()
    process = fork_server.start(_left_behind(held, signal.pause, away))
    with held.open("rb") as file:
        assert process.connection.recv() == "ready"
        os.kill(server, signal.SIGKILL)
        assert process.exit_status() is None
        assert file.read() == b""


@pytest.fixture
def parent(held: Path, script: Callable[..., Any]) -> Any:
    """Give a parent at work, whose trial has left behind processes that hold `held`."""
    code = f"""
import os, signal, sys
from pathlib import Path
sys.path.append({str(Path(__file__).parent)!r})
from test_descendants import _left_behind
from autotune.running.processes.launching import ForkServer
process = ForkServer((), {{}}).start(_left_behind(Path({str(held)!r}), signal.pause, away=True))
print(process.connection.recv(), flush=True)
signal.pause()
"""
    return script(code)


@FORK_SERVER_ONLY
def test_what_trials_have_started_ends_when_the_parent_is_killed(held: Path, parent: Any) -> None:
    with held.open("rb") as file:
        assert parent.stdout.readline() == "ready\n"
        parent.kill()
        assert file.read() == b""


@FORK_SERVER_ONLY
def test_the_next_run_ends_what_is_left_where_parent_and_server_were_killed_at_once(
    fork_server: ForkServer, held: Path, parent: Any
) -> None:
    with held.open("rb") as file:
        assert parent.stdout.readline() == "ready\n"
        (server,) = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        os.kill(parent.pid, signal.SIGSTOP)  # so that it does not notice
        os.kill(int(server), signal.SIGKILL)
        parent.kill()
        parent.wait()
        os.set_blocking(file.fileno(), False)
        assert file.read() is None  # somebody holds it
        os.set_blocking(file.fileno(), True)
        assert fork_server.start(lambda _: None).exit_status() == 0
        assert file.read() == b""


@FORK_SERVER_ONLY
def test_what_a_trial_has_left_behind_ends_while_others_run(
    fork_server: ForkServer, held: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "others")
    other = fork_server.start(_left_behind(tmp_path / "others", signal.pause, away=True))
    with (tmp_path / "others").open("rb") as others:
        assert other.connection.recv() == "ready"
        assert _is_released(held, fork_server.start(_left_behind(held, lambda: None, away=True)))
        os.set_blocking(others.fileno(), False)
        assert others.read() is None  # somebody holds it
        other.kill()
        other.exit_status()


@FORK_SERVER_ONLY
def test_nothing_is_left_in_the_table_of_processes(fork_server: ForkServer, held: Path) -> None:
    def children_of_server() -> list[str]:
        return Path(f"/proc/{os.getppid()}/task/{os.getppid()}/children").read_text().split()

    assert _is_released(held, fork_server.start(_left_behind(held, lambda: None, away=True)))
    process = fork_server.start(lambda connection: connection.send((os.getpid(), children_of_server())))
    me, children = cast(Any, process.connection.recv())
    process.exit_status()
    assert children == [str(me)]


@FORK_SERVER_ONLY
def test_what_runs_in_the_background_lives_as_long_as_its_trial(fork_server: ForkServer) -> None:
    def task(connection: Connection) -> None:
        shell = subprocess.run(["sh", "-c", "setsid sleep 1000 > /dev/null & echo $!"], stdout=-1, check=True)
        process = int(shell.stdout)
        connection.recv()  # other trials have ended since
        os.kill(process, 0)
        connection.send("alive")

    process = fork_server.start(task)
    assert fork_server.start(lambda _: os._exit(3)).exit_status() == 3
    process.connection.send("look")
    assert process.connection.recv() == "alive"
    assert process.exit_status() == 0


def test_a_trial_may_use_other_processes_while_it_runs(launcher: Launcher) -> None:
    def task(connection: Connection) -> None:
        output = subprocess.run([sys.executable, "-c", "print(42)"], capture_output=True, check=True).stdout
        with multiprocessing.get_context("fork").Pool(2) as pool:
            connection.send((int(output), pool.map(abs, [-1, -2])))

    process = launcher.start(task)
    assert process.connection.recv() == (42, [1, 2])
    assert process.exit_status() == 0


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="shared memory is not in files here")
@FORK_SERVER_ONLY
def test_the_shared_memory_of_a_trial_that_is_killed_is_freed(fork_server: ForkServer) -> None:
    def task(connection: Connection) -> None:
        memory = shared_memory.SharedMemory(create=True, size=1000)  # which a process of its own watches over
        worker = multiprocessing.get_context("fork").Process(target=signal.pause)
        worker.start()
        connection.send(memory.name)
        signal.pause()

    process = fork_server.start(task)
    file = Path("/dev/shm", str(process.connection.recv()))
    assert file.exists()
    process.kill()
    assert process.exit_status() == -signal.SIGKILL
    assert not file.exists()
