"""A study that declares when it is flat ends there, and says so."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

import autotune
from autotune.cli import main
from autotune.running.tracking.events import Event, TrialEnded

StudyFile = Callable[..., Path]
VALUES = """
    from autotune import stop_when_flat

    def objective(trial):
        trial.suggest_float("x", 0, 1)
        return [0.1, 0.5, 0.3, 0.2, 0.4, 0.45, 0.9, 0.9][trial.number % 8]
"""
OPTIONS = "'n_trials': 40, 'direction': 'maximize', 'stop': stop_when_flat(patience=4)"


def test_one_worker_stops_right_there_and_the_reason_is_recorded(
    study_file: StudyFile, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = study_file(VALUES, OPTIONS)
    assert main(["run", str(file), "--run-dir", str(run_dir), "--workers", "1"]) == 0
    reason = "the search is flat: 4 later trials were not better than trial 1"
    assert reason in capsys.readouterr().out
    assert main(["status", "toy", "--json", "--run-dir", str(run_dir)]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["complete"], status["why_over"]) == (6, reason)
    assert main(["resume", "toy", "--run-dir", str(run_dir)]) == 0
    out = capsys.readouterr().out
    assert reason in out
    assert "6 complete" in out


def test_many_workers_come_to_the_same_end(study_file: StudyFile, run_dir: Path) -> None:
    study = autotune.run(study_file(VALUES, OPTIONS), run_dir=run_dir, workers=4)
    assert "not better than trial 1" in study.user_attrs["why_over"]
    assert 6 <= len(study.trials) < 40
    assert all(trial.state.is_finished() for trial in study.trials)


MEETING = """
    from autotune import stop_when_flat

    def objective(trial):
        trial.suggest_float("x", 0, 1)
        if trial.number == 5:
            open(HERE / "begun").close()  # a named pipe: waits until trial 6 opens it, too
        if trial.number == 6 and first_time("six"):
            open(HERE / "begun", "w").close()
            signal.pause()
        return [0.1, 0.5, 0.3, 0.2, 0.4, 0.45, 0.9][trial.number]
"""


def test_what_was_interrupted_when_it_became_flat_is_finished_before_the_end(
    study_file: StudyFile, run_dir: Path, tmp_path: Path
) -> None:
    file = study_file(MEETING, OPTIONS)
    os.mkfifo(tmp_path / "begun")

    def interrupt(event: Event) -> None:
        if isinstance(event, TrialEnded) and event.number == 5:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        autotune.run(file, run_dir=run_dir, workers=2, observer=interrupt)
    signal.signal(signal.SIGINT, before)
    stopped = optuna.load_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db")
    assert [trial.number for trial in stopped.trials if trial.state == TrialState.WAITING] == [6]
    assert "why_over" not in stopped.user_attrs
    study = autotune.run(file, run_dir=run_dir, workers=2)
    assert study.trials[6].value == 0.9
    assert len(study.trials) == 7
    assert "not better than trial 1" in study.user_attrs["why_over"]


def test_with_more_patience_it_goes_on(study_file: StudyFile, run_dir: Path) -> None:
    autotune.run(study_file(VALUES, OPTIONS), run_dir=run_dir, workers=1)
    patient = "'n_trials': 9, 'direction': 'maximize', 'stop': stop_when_flat(patience=40)"
    study = autotune.run(study_file(VALUES, patient), run_dir=run_dir, workers=1)
    assert len(study.trials) == 9
    assert study.user_attrs["why_over"] is None


def test_what_is_no_rule_is_plain(study_file: StudyFile, run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(study_file(VALUES, "'stop': 20")), "--run-dir", str(run_dir)]) == 2
    assert "stop=20 is no rule" in capsys.readouterr().err
