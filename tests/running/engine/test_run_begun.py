"""A study that an earlier version has begun goes on: its storage, and the checkpoint of the trial that was stopped.

`begun/` was written at commit 7278667 by a run with one worker that was interrupted after the second epoch of its third
trial: its study file, its database (as SQL, in which HERE is its folder), and the trial's checkpoint.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

import autotune

BEGUN = Path(__file__).with_name("begun")


@pytest.mark.trains
def test_a_study_that_an_earlier_version_has_begun_goes_on(tmp_path: Path, run_dir: Path) -> None:
    trial_folder = run_dir / "begun" / "trials" / "00002"
    (trial_folder / "checkpoint").mkdir(parents=True)
    shutil.copy(BEGUN / "state", trial_folder / "checkpoint")
    shutil.copy(BEGUN / "study.py", tmp_path)
    with closing(sqlite3.connect(run_dir / "autotune.db")) as database:
        database.executescript((BEGUN / "autotune.sql").read_text().replace("HERE", str(tmp_path)))
    url = f"sqlite:///{run_dir}/autotune.db"
    before = optuna.load_study(study_name="begun", storage=url).get_trials()
    after = autotune.run(tmp_path / "study.py", run_dir=run_dir, workers=1).get_trials()
    assert [trial.state.name for trial in before] == ["COMPLETE", "COMPLETE", "WAITING"]
    assert [trial.state.name for trial in after] == ["COMPLETE"] * 4
    assert after[:2] == before[:2]
    assert after[2].params == before[2].params
    assert before[2].intermediate_values.items() < after[2].intermediate_values.items()
    epochs = re.findall(r"^\d+/\d+ - ", (trial_folder / "log.txt").read_text(), re.MULTILINE)
    assert len(epochs) == 2  # the second and the third: the first is in the checkpoint
