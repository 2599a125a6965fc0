"""A study in a few numbers."""

from __future__ import annotations

import datetime
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from autotune.errors import UsageError
from autotune.results.summary.summary import best_trial, require_study, study_status
from autotune.running.claims.ownership import Owner
from autotune.running.storages.opening import open_storage
from autotune.running.study.places import Places, find_places
from autotune.running.study.settings import StudySettings, write_settings
from autotune.study import Overrides
from autotune.terminal.printing import print_statuses


def finished(
    value: float | None, state: TrialState = TrialState.COMPLETE, **attributes: str
) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(state=state, value=value, user_attrs=attributes)


@pytest.mark.parametrize(("direction", "best"), [("minimize", 0), ("maximize", 2)])
def test_the_best_trial_is_the_best_complete_one(direction: str, best: int) -> None:
    study = optuna.create_study(direction=direction)
    for value in (1.0, 2.0, 3.0):
        study.add_trial(finished(value))
    study.add_trial(finished(None, TrialState.PRUNED))
    found = best_trial(study)
    assert found is not None
    assert (found.trial, found.value, found.direction) == (best, study.best_value, direction)


def test_there_is_no_best_trial_without_a_complete_one() -> None:
    study = optuna.create_study()
    study.add_trial(finished(None, TrialState.PRUNED))
    assert best_trial(study) is None


def test_failures_are_counted_by_their_reason() -> None:
    study = optuna.create_study()
    for number, reason in enumerate(("nan", "error", "nan")):
        message = {
            "failure_message": "a traceback\nits last line",
            "failure_summary": f"ValueError: bad (study.py:{number})",
        }
        study.add_trial(finished(None, TrialState.FAIL, failure=reason, **message))
    study.add_trial(finished(1.0))
    status = study_status(study)
    assert status.failed == {"nan": 2, "error": 1}
    assert status.last_failure == "trial 2: ValueError: bad (study.py:2)"
    assert (status.complete, status.pruned, status.running, status.waiting) == (1, 0, 0, 0)
    assert status.trials_per_hour is None


def test_a_name_that_is_not_there_lists_those_that_are() -> None:
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(study_name="there", storage=storage)
    with pytest.raises(UsageError, match=r"'elsewhere'[\s\S]*there"):
        require_study(storage, "elsewhere")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return find_places(f"sqlite:///{tmp_path / 'study.db'}", tmp_path)


def with_one_of_five_finished(places: Places) -> optuna.Study:
    """Return a study that one parent ran, which has a finished trial of an hour."""
    study = optuna.create_study(study_name="toy", storage=open_storage(places.storage))
    settings = StudySettings(
        study_file=None,
        n_trials=5,
        n_trials_given=False,
        overrides=Overrides(),
        seed=0,
        epochs=1,
        monitor=None,
        epoch_policy="best",
        split=None,
        threads=1,
        data_dir=None,
        run_dir=str(places.run_dir),
    )
    write_settings(study, settings)
    began = datetime.datetime(2026, 1, 1)
    hour = {"datetime_start": began, "datetime_complete": began + datetime.timedelta(hours=1)}
    trial = finished(1.0)
    for name, value in hour.items():
        setattr(trial, name, value)
    study.add_trial(trial)
    return study


def test_a_study_whose_parent_is_dead_has_no_speed_and_nobody_runs_it(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    study = with_one_of_five_finished(places)
    owner = Owner(places.study_folder("toy") / "workers")
    study.add_trial(owner.new_trial())
    alive = study_status(study, places)
    assert (alive.workers, alive.trials_per_hour, alive.seconds_left) == (1, 1.0, 4 * 3600.0)
    owner.close()
    dead = study_status(study, places)
    assert (dead.workers, dead.trials_per_hour, dead.seconds_left) == (0, None, None)
    assert dead.running == 1
    print_statuses([alive])
    assert "nobody runs it" not in capsys.readouterr().out
    print_statuses([dead])
    assert "nobody runs it" in capsys.readouterr().out


def test_trials_of_a_dead_parent_do_not_count_in_the_speed_of_a_living_one(places: Places) -> None:
    study = with_one_of_five_finished(places)
    dead, living = (Owner(places.study_folder("toy") / "workers") for _ in range(2))
    for owner in (dead, living):
        study.add_trial(owner.new_trial())
    dead.close()
    assert study_status(study, places).trials_per_hour == 1.0
    living.close()


def test_trials_that_something_else_runs_count_in_the_speed() -> None:
    study = optuna.create_study()
    study.optimize(lambda trial: 1.0, n_trials=1)
    study.ask()
    assert study_status(study).trials_per_hour is not None


def test_a_study_that_is_done_has_nobody_to_run_it(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    study = with_one_of_five_finished(places)
    for _ in range(4):
        study.add_trial(finished(1.0))
    print_statuses([study_status(study, places)])
    assert "nobody runs it" not in capsys.readouterr().out
