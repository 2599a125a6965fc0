"""Stopped, killed, crashed: a study goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

import autotune
from autotune.errors import StudyFailedError

StudyFile = Callable[..., Path]
FORK_SERVER_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="the fork server is for Linux")

# Each disturbance hits once, in the middle of a trial: before it asks, between two parameters, between two reports.
SEARCH = """
    def objective(trial):
        disturb(trial.number == 1, "before the parameters")
        x = trial.suggest_float("x", -1, 1)
        disturb(trial.number == 4, "between the parameters")
        y = trial.suggest_float("y", 1e-3, 1, log=True)
        for step in range(1, 4):
            disturb(trial.number in (7, 12) and step == 3, f"between the reports of {trial.number}")
            trial.report(x ** 2 + y / step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x ** 2 + y
"""
SEARCH_OPTIONS = "'n_trials': 14, 'pruner': optuna.pruners.MedianPruner(n_startup_trials=3, n_min_trials=3)"
UNDISTURBED = """
    def disturb(now, what):
        pass
"""
INTERRUPTING = """
    def disturb(now, what):
        if now and first_time(what):
            os.kill(int((HERE / "parent").read_text()), signal.SIGINT)
            signal.pause()
"""
HANGING = """
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        trial.report(x, 1)
        if trial.number == 2 and first_time("hung"):
            with open(HERE / "hanging", "w"):
                signal.pause()
        return x
"""


def _load(run_dir: Path) -> optuna.Study:
    return optuna.load_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db")


def _states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.get_trials()]


def _table(study: optuna.Study) -> list[object]:
    return [(t.number, t.state.name, t.params, t.value, t.intermediate_values) for t in study.get_trials()]


@pytest.fixture
def _interrupt_key(tmp_path: Path) -> Any:
    """Let trials interrupt this process, as Ctrl-C does, whatever started the tests."""
    (tmp_path / "parent").write_text(str(os.getpid()))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def undisturbed(study_file: StudyFile, tmp_path: Path) -> list[object]:
    file = study_file(UNDISTURBED + SEARCH, SEARCH_OPTIONS, "undisturbed.py")
    table = _table(autotune.run(file, run_dir=tmp_path / "undisturbed", workers=1))
    assert len({str(params) for _, _, params, _, _ in table}) == 14  # a search, no repetition
    return table


@pytest.mark.usefixtures("_interrupt_key")
def test_a_search_that_was_interrupted_often_ends_with_the_same_numbers(
    study_file: StudyFile, run_dir: Path, undisturbed: list[object]
) -> None:
    file = study_file(INTERRUPTING + SEARCH, SEARCH_OPTIONS)
    for number in (1, 4, 7, 12):
        if undisturbed[number][1] == "PRUNED" and number in (7, 12):
            continue  # it does not come to its third report
        with pytest.raises(KeyboardInterrupt):
            autotune.run(file, run_dir=run_dir, workers=1)
        states = _states(_load(run_dir))
        assert len(states) == number + 1
        assert states[-1] == "WAITING"
    assert _table(autotune.run(file, run_dir=run_dir, workers=1)) == undisturbed


@FORK_SERVER_ONLY
def test_a_search_whose_server_was_killed_often_ends_with_the_same_numbers(
    study_file: StudyFile, run_dir: Path, undisturbed: list[object]
) -> None:
    killing = """
    def disturb(now, what):
        if now and what[:6] == "betwee" and "12" not in what and first_time(what):
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()
"""
    file = study_file(killing + SEARCH, SEARCH_OPTIONS)
    assert _table(autotune.run(file, run_dir=run_dir, workers=1)) == undisturbed
    assert (file.parent / "between the parameters").exists()


@FORK_SERVER_ONLY
def test_a_server_that_keeps_dying_ends_the_run(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()
    """
    with pytest.raises(StudyFailedError, match="has died 3 times"):
        autotune.run(study_file(code), run_dir=run_dir, workers=1)
    assert _states(_load(run_dir)) == ["WAITING"]


@FORK_SERVER_ONLY
def test_a_server_that_dies_under_many_trials_has_died_once(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            if first_time(f"here-{trial.number}"):
                if len(list(HERE.glob("here-*"))) == 4:
                    os.kill(os.getppid(), signal.SIGKILL)
                signal.pause()
            return 0.5
    """
    study = autotune.run(study_file(code), run_dir=run_dir, workers=4)
    assert _states(study) == ["COMPLETE"] * 4


def test_a_killed_parent_loses_nothing(
    study_file: StudyFile, run_dir: Path, tmp_path: Path, script: Callable[..., Any]
) -> None:
    os.mkfifo(tmp_path / "hanging")
    file = study_file(HANGING)
    parent = script("import autotune, sys; autotune.run(sys.argv[1], run_dir=sys.argv[2], workers=1)", file, run_dir)
    with (tmp_path / "hanging").open("rb") as hanging:
        parent.kill()
        assert hanging.read() == b""  # the trial process has ended, too
    parent.wait()
    before = _load(run_dir).get_trials()
    assert [t.state.name for t in before] == ["COMPLETE", "COMPLETE", "RUNNING"]
    study = autotune.run(file, run_dir=run_dir, workers=1)
    assert _states(study) == ["COMPLETE"] * 4
    assert study.get_trials()[:2] == before[:2]
    assert study.get_trials()[2].params == before[2].params


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_run_with_all_its_processes(
    study_file: StudyFile, run_dir: Path, tmp_path: Path, script: Callable[..., Any], number: signal.Signals
) -> None:
    os.mkfifo(tmp_path / "hanging")
    code = """
        import signal, sys
        import autotune
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        try:
            autotune.run(sys.argv[1], run_dir=sys.argv[2], workers=2)
        except KeyboardInterrupt:
            print("stopped")
    """
    parent = script(code, study_file(HANGING, "'n_trials': 3"), run_dir)
    with (tmp_path / "hanging").open("rb") as hanging:
        parent.send_signal(number)
        assert hanging.read() == b""
    assert parent.communicate()[0] == "stopped\n"
    study = _load(run_dir)
    assert not {"RUNNING", "FAIL"} & set(_states(study))
    assert _states(study)[2] == "WAITING"
    assert list((run_dir / "toy" / "workers").glob("*-*.lock")) == []


@pytest.mark.usefixtures("_interrupt_key")
def test_a_signal_stops_the_loading_of_a_study(tmp_path: Path, run_dir: Path) -> None:
    file = tmp_path / "study.py"
    file.write_text(f"import os, signal; os.kill({os.getpid()}, signal.SIGINT); signal.pause()")
    with pytest.raises(KeyboardInterrupt):
        autotune.run(file, run_dir=run_dir)
    file.write_text("study = 1 / 0")
    with pytest.raises(autotune.UsageError, match="ZeroDivisionError"):
        autotune.run(file, run_dir=run_dir)


def test_a_run_returns_after_its_time_and_another_goes_on(study_file: StudyFile, run_dir: Path, tmp_path: Path) -> None:
    code = """
        def objective(trial):
            x = trial.suggest_float("x", 0, 1)
            trial.report(x, 1)
            if not (HERE / "free").exists():
                signal.pause()
            return x
    """
    file = study_file(code)
    study = autotune.run(file, run_dir=run_dir, workers=2, timeout_s=4)
    assert _states(study) == ["WAITING"] * 2
    before = study.get_trials()
    (tmp_path / "free").touch()
    study = autotune.run(file, run_dir=run_dir, workers=2)
    assert _states(study) == ["COMPLETE"] * 4
    assert [t.params for t in study.get_trials()[:2]] == [t.params for t in before]


@FORK_SERVER_ONLY
def test_a_trial_that_goes_on_repeats_its_reports_and_tells_nobody_twice(
    study_file: StudyFile, run_dir: Path, tmp_path: Path
) -> None:
    code = """
        def objective(trial):
            for step in range(1, 4):
                if step == 3 and first_time("crash"):
                    os.kill(os.getppid(), signal.SIGKILL)
                    signal.pause()
                trial.report(step, step)
            return 0.0
    """
    events: list[Any] = []
    study = autotune.run(study_file(code, "'n_trials': 1"), run_dir=run_dir, workers=1, observer=events.append)
    assert study.get_trials()[0].intermediate_values == {1: 1.0, 2: 2.0, 3: 3.0}
    story = [type(e).__name__ if not hasattr(e, "step") else e.step for e in events]
    assert story == ["RunStarted", "TrialStarted", 1, 2, "TrialEnded", "TrialStarted", 3, "TrialEnded"]
    assert [e.state for e in events if hasattr(e, "state")] == ["interrupted", "complete"]
    assert [len(e.reports) for e in events if hasattr(e, "reports")] == [0, 2]


def test_a_process_that_a_trial_left_behind_holds_nobody_up_and_ends(
    study_file: StudyFile, run_dir: Path, tmp_path: Path
) -> None:
    code = """
        def objective(trial):
            left = os.fork()
            if left == 0:
                signal.pause()
            (HERE / f"left-{left}").touch()
            os._exit(1)
    """
    with pytest.raises(StudyFailedError, match="with exit code 1"):
        autotune.run(study_file(code, "'max_failures_in_a_row': 2"), run_dir=run_dir, workers=1)
    left = [int(path.name.split("-")[1]) for path in tmp_path.glob("left-*")]
    assert len(left) == 2
    for pid in left:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_command_that_is_stopped_does_not_wait_for_a_locked_storage(
    study_file: StudyFile, run_dir: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "hanging")
    command = [sys.executable, "-m", "autotune", "run", study_file(HANGING), "--run-dir", run_dir, "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        with (tmp_path / "hanging").open("rb"):
            pass  # the third trial is in the middle
        with closing(sqlite3.connect(run_dir / "autotune.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 130
            assert process.stderr is not None
            assert "autotune resume toy" in process.stderr.read()
    study = autotune.run(tmp_path / "study.py", run_dir=run_dir, workers=1)
    assert [(t.number, t.state.name) for t in study.get_trials()] == [(n, "COMPLETE") for n in range(4)]


def test_a_value_that_a_killed_parent_could_not_write_down_is_not_computed_again(
    study_file: StudyFile, run_dir: Path, tmp_path: Path, script: Callable[..., Any]
) -> None:
    file = study_file("""
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        with (HERE / "calls").open("a") as calls:
            calls.write(f"{trial.number}\\n")
        return x + np.random.random()

    import numpy as np
    """)
    dying = """
        import os, signal, sys, autotune, optuna
        tell = optuna.Study.tell
        def die(study, trial, *args, **kwargs):
            if trial.number == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return tell(study, trial, *args, **kwargs)
        optuna.Study.tell = die
        autotune.run(sys.argv[1], run_dir=sys.argv[2], workers=1)
    """
    assert script(dying, file, run_dir).wait() == -signal.SIGKILL
    study = autotune.run(file, run_dir=run_dir, workers=1)
    assert (tmp_path / "calls").read_text().split() == ["0", "1", "2", "3"]
    assert _states(study) == ["COMPLETE"] * 4
    assert _table(study) == _table(autotune.run(file, run_dir=tmp_path / "quiet", workers=1))
    assert not (run_dir / "toy" / "trials" / "00002" / "checkpoint").exists()
