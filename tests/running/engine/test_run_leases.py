"""Parents on several machines that share a storage and nothing else: stopped, continued, killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from autotune.running.claims.ownership import mark_of
from autotune.running.storages.opening import open_existing_storage, sqlite_url

StudyFile = Callable[..., Path]
Until = Callable[[Callable[[], bool]], None]
Machine = Callable[[str], "subprocess.Popen[str]"]
PATIENCE_S = 120  # for a machine that is very busy; nothing here waits for time to pass

WAITING_FOR_A_FILE = """
    import time

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        trial.report(x, 1)
        while not (HERE / "go on").exists():
            time.sleep(0.02)  # reason: a file tells nobody that it is there now
        trial.report(x + 1, 2)
        return x
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path / "shared.db")


@pytest.fixture
def machine(study_file: StudyFile, url: str, tmp_path: Path) -> Iterator[Machine]:
    """Give a function that starts the command on a machine of its own: with a run dir that no other sees."""
    file = study_file(WAITING_FOR_A_FILE, "'n_trials': 1")
    with ExitStack() as stack:

        def start(name: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "autotune", "run", str(file), "--storage", url, "--workers", "1"]
            command += ["--run-dir", str(tmp_path / name), "--lease", "1"]
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            )
            stack.callback(process.kill)
            return process

        yield start


def _trials(url: str) -> list[FrozenTrial]:
    storage = open_existing_storage(url)  # which waits for those who create its tables
    try:
        return [] if storage is None else optuna.load_study(study_name="toy", storage=storage).get_trials()
    except KeyError:  # not begun yet
        return []


def _runs_under(url: str) -> str | None:
    """Return who runs the first trial, once it has reported."""
    trials = _trials(url)
    if not trials or trials[0].state != TrialState.RUNNING or not trials[0].intermediate_values:
        return None
    mark = mark_of(trials[0])
    return mark.parent if mark else None


def _stop(parent: subprocess.Popen[str], url: str) -> None:
    """Make it stand still while it holds no lock of the file: within a transaction it would keep all others out."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=PATIENCE_S, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        os.kill(parent.pid, signal.SIGSTOP)
        database.execute("ROLLBACK")


@pytest.mark.parametrize("fate", ["continued", "killed"])
def test_a_parent_that_stands_still_for_longer_than_its_lease_is_replaced(
    machine: Machine, url: str, tmp_path: Path, fate: str, until: Until
) -> None:
    first = machine("first")
    until(lambda: _runs_under(url) is not None)
    before = _runs_under(url)
    _stop(first, url)
    second = machine("second")
    until(lambda: _runs_under(url) not in (None, before))
    if fate == "killed":
        first.kill()
    (tmp_path / "go on").touch()
    output = second.communicate()[0]
    assert second.returncode == 0, output
    if fate == "continued":
        os.kill(first.pid, signal.SIGCONT)
        output = first.communicate()[0]
        assert first.returncode == 0, output
        assert "Traceback" not in output
    (trial,) = _trials(url)
    assert trial.state == TrialState.COMPLETE
    assert trial.value == trial.params["x"]
    assert trial.intermediate_values == {1: trial.value, 2: trial.value + 1}


def test_a_parent_that_finds_its_trial_taken_ends_it_quietly_and_goes_on(
    machine: Machine, url: str, tmp_path: Path, until: Until
) -> None:
    first = machine("first")
    until(lambda: _runs_under(url) is not None)
    before = _runs_under(url)
    _stop(first, url)
    machine("second")
    until(lambda: _runs_under(url) not in (None, before))
    os.kill(first.pid, signal.SIGCONT)
    assert first.stdout is not None
    until(lambda: "trial 0 interrupted" in first.stdout.readline())
    (tmp_path / "go on").touch()
    rest = first.communicate()[0]
    assert first.returncode == 0, rest
    assert "Traceback" not in rest
    assert [trial.state for trial in _trials(url)] == [TrialState.COMPLETE]
