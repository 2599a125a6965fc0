"""A run on a database that goes away in the middle: it waits, goes on, and shows nobody the password."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from postgres_server import PostgresServer

import autotune
from autotune.running.storages.opening import open_storage

StudyFile = Callable[..., Path]
# Two trials stop in their middle until the test has done what it wants to do.
SEARCH = """
    def objective(trial):
        x = trial.suggest_float("x", -1, 1)
        trial.report(abs(x), 1)
        if trial.number in (3, 7) and first_time(f"waited {trial.number}"):
            with open(HERE / "here", "w"):
                pass
            with open(HERE / "go", "r"):
                pass
        y = trial.suggest_float("y", -1, 1)
        for step in range(2, 6):
            trial.report(abs(x) + abs(y) / step, step)
        return abs(x) + abs(y)
"""


@contextmanager
def _run(file: Path, url: str, run_dir: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "autotune", "run", str(file), "--workers", "4", "--run-dir", str(run_dir)]
    environment = {**os.environ, "OPTUNA_STORAGE": url}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _wait_for(process: subprocess.Popen[str], words: str) -> list[str]:
    """Read what a process says of itself until it says these words."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return said
    raise AssertionError(f"it ended without saying {words!r}: {said}")


@pytest.fixture
def file(study_file: StudyFile) -> Path:
    path = study_file(SEARCH, "'n_trials': 12")
    for name in ("here", "go"):
        os.mkfifo(path.parent / name)
    return path


def test_a_database_that_restarts_stops_no_run_and_costs_no_trial(
    postgres: PostgresServer, postgres_url: str, file: Path, run_dir: Path
) -> None:
    said: list[str] = []
    with _run(file, postgres_url, run_dir) as process:
        for mode in ("immediate", "fast"):
            (file.parent / "here").read_text()
            postgres.stop(mode)  # type: ignore[arg-type]  # reason: the loop's words are just its two
            said += _wait_for(process, "does not answer")
            postgres.start()
            said += _wait_for(process, "answers again")
            (file.parent / "go").write_text("")
        output, rest = process.communicate()
    errors = "".join(said) + rest
    assert process.returncode == 0, errors
    assert all(line.startswith("The storage postgresql+psycopg://") for line in errors.splitlines()), errors
    storage = open_storage(postgres_url)
    trials = optuna.load_study(study_name="toy", storage=storage).trials
    assert [(trial.number, trial.state) for trial in trials] == [(n, TrialState.COMPLETE) for n in range(12)]
    assert all(len(trial.intermediate_values) == 5 for trial in trials)
    everything = output + errors + str([(trial.user_attrs, trial.system_attrs) for trial in trials])
    everything += str([(study.user_attrs, study.system_attrs) for study in storage.get_all_studies()])
    everything += "".join(path.read_text(errors="replace") for path in run_dir.rglob("*") if path.is_file())
    assert postgres.password not in everything
    assert "***" in errors


def test_a_run_that_waits_for_its_database_can_be_stopped(
    postgres: PostgresServer, postgres_url: str, file: Path, run_dir: Path
) -> None:
    with _run(file, postgres_url, run_dir) as process:
        (file.parent / "here").read_text()
        postgres.stop()
        _wait_for(process, "does not answer")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "autotune resume toy" in errors
    assert "Traceback" not in errors


def test_a_report_that_the_database_does_not_take_fails_its_trial_and_an_attribute_is_left_out(
    postgres_url: str, study_file: StudyFile, run_dir: Path
) -> None:
    code = """
        def objective(trial):
            x = trial.suggest_float("x", 0, 1)
            if trial.number == 1:
                trial.report(x, 2**40)
            if trial.number == 2:
                trial.set_user_attr("k" * 600, 1)
            return x
    """
    study = autotune.run(study_file(code), storage=postgres_url, run_dir=run_dir, workers=1)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", *["COMPLETE"] * 3]
    assert study.trials[1].user_attrs["failure"] == "error"
    assert "k" * 600 not in study.trials[2].user_attrs, "an attribute costs no trial"
    assert "refuses the arguments of report" in study.trials[1].user_attrs["failure_message"]
