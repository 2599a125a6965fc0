"""Nothing is done twice: no configuration is trained again, and a space in which all is tried ends the search."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from command_line import autotune as command_line

import autotune
from autotune.running.tracking.events import Event, Note, TrialEnded

StudyFile = Callable[..., Path]

SMALL = """
    def objective(trial):
        x = trial.suggest_int("x", 0, 2)
        y = trial.suggest_categorical("y", ["a", "b", "c", "d"])
        with (HERE / "calls").open("a") as calls:
            calls.write(f"{x}{y}\\n")
        trial.report(x, 1)
        return x
"""


def _calls(tmp_path: Path) -> Counter[str]:
    return Counter((tmp_path / "calls").read_text().split())


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(
    "sampler", ["None", "optuna.samplers.RandomSampler", "lambda seed: optuna.samplers.GridSampler(GRID, seed)"]
)
def test_a_small_space_is_searched_once_and_then_the_study_ends(
    study_file: StudyFile, run_dir: Path, tmp_path: Path, workers: int, sampler: str
) -> None:
    grid = "\n    GRID = {'x': [0, 1, 2], 'y': ['a', 'b', 'c', 'd']}\n"
    file = study_file(SMALL + grid, f"'n_trials': 40, 'sampler': {sampler}")
    events: list[Event] = []
    study = autotune.run(file, run_dir=run_dir, workers=workers, observer=events.append)
    calls = _calls(tmp_path)
    assert len(calls) == 12
    assert workers > 1 or set(calls.values()) == {1}
    finished = [t for t in study.get_trials() if t.state.is_finished()]
    assert len({str(t.params) for t in finished}) == 12
    assert not any(t.state == optuna.trial.TrialState.RUNNING for t in study.get_trials())
    assert any(isinstance(event, Note) and "every configuration" in event.text for event in events)
    autotune.run(file, run_dir=run_dir, workers=workers)
    assert _calls(tmp_path) == calls


def test_the_command_says_that_the_space_is_exhausted(study_file: StudyFile, run_dir: Path) -> None:
    command = [sys.executable, "-m", "autotune", "run", str(study_file(SMALL, "'n_trials': 40"))]
    done = subprocess.run([*command, "--run-dir", str(run_dir), "--workers", "2"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "every configuration of the search space has been tried" in done.stdout
    assert "12 of 40 trials finished" in done.stdout
    assert "Go on" not in done.stdout


def test_the_command_says_how_to_go_on_also_after_a_note(study_file: StudyFile, run_dir: Path) -> None:
    never = "'n_trials': 2, 'pruner': optuna.pruners.MedianPruner(n_startup_trials=100)"
    result = command_line("run", study_file(SMALL, never), "--run-dir", run_dir, "--workers", "1")
    assert "MedianPruner stops no trial" in result.stdout
    assert "More:   autotune resume toy --trials 4" in result.stdout


def test_a_configuration_that_was_tried_and_is_asked_for_again_is_copied(
    study_file: StudyFile, run_dir: Path, tmp_path: Path
) -> None:
    file = study_file(
        """
        def objective(trial):
            x = trial.suggest_float("x", 0, 1)
            trial.set_user_attr("twice", 2 * x)
            with (HERE / "calls").open("a") as calls:
                calls.write(f"{x}\\n")
            trial.report(x + 1, 1)
            if x > 0.5:
                raise optuna.TrialPruned
            return x
        """,
        "'n_trials': 6",
    )
    run_dir.mkdir()
    study = optuna.create_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db")
    for x in (0.25, 0.75, 0.25, 0.75, 0.25, 0.5):
        study.enqueue_trial({"x": x})
    trials = autotune.run(file, run_dir=run_dir, workers=1).get_trials()
    assert _calls(tmp_path) == {"0.25": 1, "0.75": 1, "0.5": 1}
    assert [t.user_attrs.get("copy_of") for t in trials] == [None, None, 0, 1, 0, None]
    for copy in (2, 3, 4):
        original = trials[trials[copy].user_attrs["copy_of"]]
        assert trials[copy].state == original.state
        assert trials[copy].value == original.value
        assert trials[copy].intermediate_values == original.intermediate_values
        assert trials[copy].user_attrs["twice"] == original.user_attrs["twice"]


@pytest.mark.parametrize("report", ["trial.report(x, 1)", "pass"])
def test_a_configuration_that_is_just_being_tried_is_waited_for(
    study_file: StudyFile, run_dir: Path, tmp_path: Path, report: str
) -> None:
    file = study_file(
        f"""
        import time

        def objective(trial):
            x = trial.suggest_float("x", 0, 1)
            with (HERE / "calls").open("a") as calls:
                calls.write(str(x) + "\\n")
            {report}
            while trial.number == 0 and not (HERE / "another has ended").exists():
                time.sleep(0.02)  # reason: a file tells nobody that it is there now
            if trial.number == 2:
                (HERE / "another has ended").touch()
            return x
        """,
        "'n_trials': 3",
    )
    run_dir.mkdir()
    study = optuna.create_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db")
    for x in (0.25, 0.25, 0.5):
        study.enqueue_trial({"x": x})
    events: list[Event] = []
    trials = autotune.run(file, run_dir=run_dir, workers=2, observer=events.append).get_trials()
    assert [t.value for t in trials] == [0.25, 0.25, 0.5]
    assert _calls(tmp_path) == {"0.25": 1, "0.5": 1}
    ended = [event for event in events if isinstance(event, TrialEnded)]
    assert all("which has the same configuration" in event.reason for event in ended if event.state == "interrupted")


def test_failures_that_lie_in_the_configuration_are_not_repeated_in_a_small_space(
    study_file: StudyFile, run_dir: Path
) -> None:
    code = """
        def objective(trial):
            x = trial.suggest_int("x", 0, 3)
            if x == 1:
                raise MemoryError
            return x if x < 3 else float("nan")
    """
    study = autotune.run(study_file(code, "'n_trials': 40"), run_dir=run_dir, workers=1)
    failures = Counter(t.user_attrs.get("failure") for t in study.get_trials())
    assert failures == {None: 2, "oom": 1, "nan": 1}
