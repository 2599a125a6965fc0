"""A finished trial that is trained again gets the same numbers, or the difference is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

import autotune
from autotune.cli import main
from autotune.errors import StudyFailedError, UsageError
from autotune.results.export.replaying import replay
from autotune.results.final.record import FinalResult

pytestmark = pytest.mark.usefixtures("no_places_from_outside")
StudyFile = Callable[..., Path]

CHANCE = """
    import random
    import optuna

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        for step in (1, 2, 3):
            trial.report(x + random.random(), step)
            if trial.number == 1 and trial.should_prune():
                raise optuna.TrialPruned
        if (HERE / "broken").exists():
            raise ValueError("a package is missing")
        return x + random.random() + (HERE / "moved").exists()
"""
OPTIONS = "'n_trials': 3"


def _n_trials(run_dir: Path) -> int:
    return sum(len(record.trials) for record in _studies(run_dir))


def _studies(run_dir: Path) -> list[optuna.Study]:
    storage = f"sqlite:///{run_dir}/autotune.db"
    return [optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)]


def test_a_trial_is_replayed_with_its_own_chance_and_nothing_is_written(study_file: StudyFile, run_dir: Path) -> None:
    autotune.run(study_file(CHANCE, OPTIONS), run_dir=run_dir, workers=2)
    for trial in _studies(run_dir)[0].trials:
        found = replay("toy", trial.number, run_dir=run_dir)
        assert found.is_same
        assert (found.stored, found.again) == (trial.value, trial.value)
        assert found.steps == {step: (value, value) for step, value in trial.intermediate_values.items()}
    assert _n_trials(run_dir) == 3


def test_a_difference_is_shown_and_ends_the_command_with_1(
    study_file: StudyFile, tmp_path: Path, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    autotune.run(study_file(CHANCE, "'n_trials': 1"), run_dir=run_dir, workers=1)
    command = ["replay", "toy", "--trial", "0", "--run-dir", str(run_dir)]
    assert main(command) == 0
    assert "bit for bit" in capsys.readouterr().out
    (tmp_path / "moved").touch()
    assert main(command) == 1
    value = _studies(run_dir)[0].trials[0].value
    assert f"{value:.6g}"[:5] in capsys.readouterr().out


def test_a_trial_that_fails_when_it_is_replayed_is_said_to(
    study_file: StudyFile, tmp_path: Path, run_dir: Path
) -> None:
    autotune.run(study_file(CHANCE, "'n_trials': 1"), run_dir=run_dir, workers=1)
    (tmp_path / "broken").touch()
    with pytest.raises(StudyFailedError, match="ValueError: a package is missing"):
        replay("toy", 0, run_dir=run_dir)


def test_a_trial_that_ended_itself_is_replayed(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            trial.report(trial.suggest_float("x", 0, 1), 1)
            raise optuna.TrialPruned
    """
    autotune.run(study_file(code, "'n_trials': 1"), run_dir=run_dir, workers=1)
    found = replay("toy", 0, run_dir=run_dir)
    assert found.is_same
    assert len(found.steps) == 1


def test_a_trial_that_is_not_there_is_plain(study_file: StudyFile, run_dir: Path) -> None:
    autotune.run(study_file(CHANCE, OPTIONS), run_dir=run_dir, workers=1)
    for number in (-1, 3):
        with pytest.raises(UsageError, match=rf"(?s)has no trial {number}.*from 0 to 2"):
            replay("toy", number, run_dir=run_dir)


@pytest.mark.trains
def test_searched_confirmed_and_refitted_trials_get_the_same_numbers_bit_for_bit(
    finalized: tuple[Path, FinalResult],
) -> None:
    run_dir, _ = finalized
    studies = {study.study_name: study for study in _studies(run_dir)}
    assert studies.keys() == {"toy", "toy.confirm", "toy.final"}
    for name, study in studies.items():
        last = study.trials[-1]
        found = replay(name, last.number, run_dir=run_dir)
        assert found.is_same
        assert found.again == last.value
        assert found.steps
    assert _n_trials(run_dir) == 5
