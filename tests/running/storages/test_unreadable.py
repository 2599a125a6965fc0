"""What a storage holds and nobody can understand is named, with the study that it is of, by every kind of storage."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

from autotune.errors import AutotuneError, StoredStudyError
from autotune.running.planning.stored_study import study_names
from autotune.running.storages.opening import open_to_look, sqlite_url

OF_TRIALS = [
    "UPDATE trial_params SET distribution_json = '{'",
    'UPDATE trial_params SET distribution_json = \'{"name": "FloatDistribution"}\'',
    "UPDATE trial_params SET param_value = 'a'",
    "UPDATE trial_params SET param_value = NULL",
    "UPDATE trial_values SET value = 'a'",
    "UPDATE trial_values SET value_type = 'a'",
    "DELETE FROM trial_values",
    "UPDATE trial_intermediate_values SET step = -1",
    "UPDATE trial_intermediate_values SET intermediate_value = 'a'",
    "UPDATE trial_user_attributes SET value_json = '{'",
    "UPDATE trial_system_attributes SET value_json = NULL",
    "UPDATE trials SET state = 'RAN'",
    "UPDATE trials SET number = 'a'",
    "UPDATE trials SET datetime_start = 'then'",
    "DROP TABLE trial_params",
]


@pytest.fixture
def new_storage(tmp_path: Path) -> Callable[[], Any]:
    """Give a function that opens the storage anew, which knows nothing of it yet."""
    return lambda: open_to_look(sqlite_url(tmp_path / "study.db"))


@pytest.fixture
def study(storage: Any) -> optuna.Study:
    study = optuna.create_study(storage=storage, study_name="toy")
    trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    trial.set_user_attr("a", 1)
    study._storage.set_trial_system_attr(trial._trial_id, "a", 1)
    trial.report(1.0, 1)
    study._storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.COMPLETE, [1.0])
    optuna.create_study(storage=storage, study_name="other")
    return study


def _change(tmp_path: Path, sql: str) -> None:
    with closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        database.execute(sql)


@pytest.mark.parametrize("sql", OF_TRIALS)
def test_trials_that_make_no_sense_are_named_with_their_study(
    study: optuna.Study, tmp_path: Path, new_storage: Callable[[], Any], sql: str
) -> None:
    _change(tmp_path, sql)
    with pytest.raises(StoredStudyError, match="the study 'toy' cannot be understood"):
        optuna.load_study(study_name="toy", storage=new_storage()).get_trials()
    assert optuna.load_study(study_name="other", storage=new_storage()).user_attrs == {}


@pytest.mark.parametrize(
    ("sql", "read"),
    [
        ("INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (1, 'a', '{')", "user_attrs"),
        ("INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (1, 'a', '')", "system_attrs"),
        ("UPDATE study_directions SET direction = 'UP' WHERE study_id = 1", "directions"),
        ("DELETE FROM study_directions WHERE study_id = 1", "directions"),
    ],
)
def test_a_study_that_makes_no_sense_leaves_the_others(
    study: optuna.Study, tmp_path: Path, new_storage: Callable[[], Any], sql: str, read: str
) -> None:
    _change(tmp_path, sql)
    storage = new_storage()
    assert study_names(storage) == ["toy", "other"]
    assert [one.study_name for one in storage.get_all_studies()] == ["other"]
    with pytest.raises(StoredStudyError, match="the study 'toy' cannot be understood"):
        getattr(storage, f"get_study_{read}")(study._study_id)


def test_behind_a_proxy_it_is_said_too(study: optuna.Study, tmp_path: Path, served: Callable[[str], str]) -> None:
    _change(tmp_path, "UPDATE trial_user_attributes SET value_json = '{'")
    storage = open_to_look(served(sqlite_url(tmp_path / "study.db")))
    assert storage is not None
    with pytest.raises(AutotuneError, match="the study 'toy' cannot be understood"):
        storage.get_all_trials(study._study_id)


def test_what_is_not_there_is_not_taken_for_what_makes_no_sense(storage: Any) -> None:
    with pytest.raises(KeyError):
        storage.get_study_id_from_name("toy")
    with pytest.raises(KeyError):
        storage.get_trial(7)
