"""`autotune serve`: many machines share a storage through a proxy, which may be started again at any moment."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from postgres_server import PostgresServer

import autotune
from autotune.errors import StorageError
from autotune.running.storages.opening import open_storage, sqlite_url
from autotune.running.storages.patience import Patience

pytest.importorskip("grpc", reason="no gRPC: install the extra grpc")
Serve = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Give a function that starts `autotune serve` and returns its process and the URL it names."""
    with ExitStack() as stack:

        def start(storage: str, port: int = 0) -> tuple[subprocess.Popen[str], str]:
            command = [sys.executable, "-m", "autotune", "serve", "--storage", storage, "--port", str(port)]
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            line = process.stdout.readline()
            url = re.search(r"grpc://127\.0\.0\.1:\d+", line)
            assert url is not None, line
            return process, url[0]

        yield start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_names_its_url_shows_no_password_and_ends_on_a_signal(
    serve: Serve, postgres: PostgresServer, postgres_url: str, number: signal.Signals
) -> None:
    process, url = serve(postgres_url)
    study = optuna.create_study(study_name="toy", storage=open_storage(url))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len(optuna.load_study(study_name="toy", storage=open_storage(postgres_url)).trials) == 2
    process.send_signal(number)
    output = process.communicate()
    assert process.returncode == 130
    assert postgres.password not in "".join(output)
    assert "Traceback" not in output[1]


def test_a_trial_goes_on_through_a_proxy_that_was_killed_and_started_again(serve: Serve, tmp_path: Path) -> None:
    process, url = serve(sqlite_url(tmp_path / "study.db"))
    said: list[str] = []
    restarted: list[object] = []

    def start_again(seconds: float) -> None:
        if len(said) == 1 and not restarted:  # that it is away has been said
            restarted.append(serve(sqlite_url(tmp_path / "study.db"), int(url.rpartition(":")[2])))

    study = optuna.create_study(storage=open_storage(url, Patience(sleep=start_again, say=said.append)))
    study.add_trial(create_trial(state=TrialState.WAITING))
    trial = study.ask()
    process.kill()
    process.wait()
    trial.suggest_float("x", 0, 1)
    trial.report(0.5, 1)
    study.tell(trial, 1.0)
    assert [(t.number, t.state.name, t.value) for t in study.trials] == [(0, "COMPLETE", 1.0)]
    assert len(said) == 2


def test_a_command_and_a_run_on_a_served_sqlite_file_share_the_budget(
    serve: Serve, study_file: Callable[..., Path], tmp_path: Path
) -> None:
    code = """
        import time

        def objective(trial):
            (HERE / f"server-{os.getppid()}").touch()  # each run has a server of trial processes of its own
            while len(list(HERE.glob("server-*"))) < 2:
                time.sleep(0.02)  # reason: a file tells nobody that it is there now
            return trial.suggest_float("x", -1, 1) ** 2
    """
    file = study_file(code, "'n_trials': 9")
    _, url = serve(sqlite_url(tmp_path / "study.db"))
    command = [sys.executable, "-m", "autotune", "run", str(file), "--storage", url, "--workers", "2"]
    command += ["--run-dir", str(tmp_path / "runs")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        study = autotune.run(file, storage=url, run_dir=tmp_path / "runs", workers=2)
        errors = process.communicate()[1]
    assert (process.returncode, errors) == (0, "")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 9


def test_a_proxy_that_is_not_there_is_refused_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(StorageError, match="Connection refused"):
        open_storage(f"grpc://127.0.0.1:{port}")


@pytest.mark.parametrize("url", ["grpc://", "grpc:///study", "grpc://u:secret@localhost:1", "grpc://localhost:1/study"])
def test_a_url_that_is_no_proxys_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match="grpc://host:port") as caught:
        open_storage(url)
    assert "secret" not in str(caught.value)
