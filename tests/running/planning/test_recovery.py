"""What dead parents have left is put back, whatever else there is in the storage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

from autotune.running.claims.ownership import Owner
from autotune.running.planning.recovery import recover_lost_trials
from autotune.running.study.settings import StudySettings, write_settings
from autotune.study import Overrides

SETTINGS = StudySettings(
    study_file="/study.py",
    n_trials=1,
    n_trials_given=False,
    overrides=Overrides(),
    seed=0,
    epochs=1,
    monitor=None,
    epoch_policy="best",
    split=None,
    threads=1,
    data_dir=None,
    run_dir="/runs",
)


def _lost(storage: Any, name: str, run_dir: Path) -> optuna.Study:
    """Return a study with a trial whose parent has ended."""
    study = optuna.create_study(storage=storage, study_name=name)
    write_settings(study, SETTINGS)
    with closing(Owner(run_dir / "toy" / "workers")) as owner:
        owner.sign(storage, study.ask()._trial_id)
    return study


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE study_user_attributes SET value_json = '{' WHERE study_id = {other}",
        "UPDATE study_user_attributes SET value_json = '7' WHERE study_id = {other}",
        'UPDATE study_user_attributes SET value_json = \'{"study_file": "/study.py"}\' WHERE study_id = {other}',
        "UPDATE studies SET study_name = '../..' WHERE study_id = {other}",
        "UPDATE studies SET study_name = X'FF' WHERE study_id = {other}",
        "UPDATE trials SET datetime_start = 'then' WHERE study_id = {other}",
    ],
)
def test_a_study_that_cannot_be_understood_does_not_disturb_another(storage: Any, tmp_path: Path, sql: str) -> None:
    run_dir = tmp_path / "runs"
    other, study = (_lost(storage, name, run_dir) for name in ("other", "toy"))
    with closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        assert database.execute(sql.replace("{other}", str(other._study_id))).rowcount
    asked: list[str] = []

    def folder(name: str) -> Path:
        asked.append(name)
        return run_dir / name

    recover_lost_trials(storage, "/study.py", folder)
    assert asked == ["toy"]
    assert [trial.state.name for trial in study.get_trials()] == ["WAITING"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "runs")[0] == "study.db"
    assert [path.name for path in run_dir.iterdir()] == ["toy"]
