"""Limits of files, processes, threads and memory stop a run in three plain lines, and another goes on where it was."""

from __future__ import annotations

import contextlib
import errno
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

import autotune
from autotune.errors import ResourceLimitError, StudyFailedError
from autotune.running.processes.launching import ForkServer
from autotune.running.processes.limits import make_room_for_files, telling_exhausted

pytest.importorskip("resource", reason="there are no such limits here")
StudyFile = Callable[..., Path]
TOY = """
def objective(trial):
    return trial.suggest_float("x", 0, 1)
"""


def _run(limit: str, file: Path, run_dir: Path, workers: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autotune", "run", str(file), "--run-dir", str(run_dir), "--workers", str(workers)]
    return subprocess.run(
        ["sh", "-c", f'{limit}; exec "$@"', "sh", *command], capture_output=True, text=True, check=False
    )


def test_more_workers_than_there_may_be_files_are_refused_before_anything_starts(
    study_file: StudyFile, run_dir: Path
) -> None:
    file = study_file(TOY)
    refused = _run("ulimit -n 64", file, run_dir, workers=64)
    assert refused.returncode == 1
    lines = refused.stderr.splitlines()
    words = r"ResourceLimitError: 64 slots need about 4\d\d open files, but this process may have only 64\."
    assert re.fullmatch(words, lines[0])
    assert len(lines) == 3
    (fewer,) = re.findall(r"--workers (\d+)", lines[2])
    done = _run("ulimit -n 64", file, run_dir, int(fewer))
    assert done.returncode == 0, done.stderr
    assert "4 of 4 trials finished" in done.stdout


def test_fewer_workers_are_advised_only_where_one_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (30, 30))
    with pytest.raises(ResourceLimitError, match="1 slot needs about") as refused:
        make_room_for_files(1)
    assert "--workers" not in str(refused.value)


def test_a_limit_that_may_be_raised_is_raised(study_file: StudyFile, run_dir: Path) -> None:
    done = _run("ulimit -S -n 64", study_file(TOY), run_dir, workers=20)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, "Too many open files"), r"more open files: .*Too many.*\n.*ulimit -n"),
        (OSError(errno.ENFILE, "Too many open files in system"), "more open files"),
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), r"more processes and threads.*\n.*ulimit -u"),
        (RuntimeError("can't start new thread"), "more processes and threads"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "more memory"),
        (MemoryError(), r"more memory: MemoryError\n"),
    ],
)
@pytest.mark.parametrize("is_cause", [False, True])
def test_what_has_run_out_is_named_in_three_lines(error: Exception, words: str, is_cause: bool) -> None:
    def fail() -> None:
        if is_cause:
            raise ValueError("something else") from error
        raise error

    with pytest.raises(ResourceLimitError, match=words) as caught, telling_exhausted():
        fail()
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    "error", [RuntimeError("no"), FileNotFoundError(errno.ENOENT, "no"), StudyFailedError("", "", "")]
)
def test_other_errors_are_left_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, telling_exhausted():
        raise error from MemoryError() if isinstance(error, StudyFailedError) else None
    assert caught.value is error


@pytest.mark.skipif(sys.platform != "linux", reason="the fork server is for Linux")
def test_a_server_that_cannot_fork_says_so_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import os
forks, fork = iter([True, False, True]), os.fork
def rarely():
    if next(forks):
        return fork()
    raise BlockingIOError(11, "Resource temporarily unavailable")
os.fork = rarely
"""
    (tmp_path / "rare_forks.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with contextlib.closing(ForkServer(("rare_forks",), {})) as launcher:
        first = launcher.start(lambda connection: connection.send(connection.recv()))
        with pytest.raises(BlockingIOError, match="no process could be started"):
            launcher.start(lambda _: None)
        assert launcher.start(lambda _: None).exit_status() == 0
        first.connection.send("still here")
        assert first.connection.recv() == "still here"
        assert first.exit_status() == 0


def test_slots_that_find_no_thread_stop_the_run_and_the_next_one_goes_on(
    study_file: StudyFile, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def start_two(thread: threading.Thread) -> Any:
        if thread.name == "autotune-slot-2":
            raise RuntimeError("can't start new thread")
        start(thread)

    file = study_file(TOY, "'n_trials': 40")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_two)
        with pytest.raises(ResourceLimitError, match="processes and threads"):
            autotune.run(file, run_dir=run_dir, workers=4)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("autotune")]
    trials = optuna.load_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db").get_trials()
    assert not [trial for trial in trials if trial.state == optuna.trial.TrialState.RUNNING]
    assert len(autotune.run(file, run_dir=run_dir, workers=2).get_trials()) == 40
