"""Trials that a study file begins with."""

from __future__ import annotations

from pathlib import Path

import pytest

import autotune
from autotune.errors import StudyFileError, UsageError

TOY = """
from autotune import StudySpec

def objective(trial):
    return trial.suggest_float("x", 0.0, 1.0) + trial.suggest_float("y", 0.0, 1.0)

study = StudySpec(name="toy", objective=objective, direction="minimize", n_trials=5, seed=0, enqueue={enqueue})
"""

DIGITS = """
import keras
from autotune import StudySpec, models

def build(trial, data):
    return models.build_cnn(data, blocks=trial.suggest_int("blocks", 1, 2))

study = StudySpec(name="toy", dataset="digits", build=build, monitor="val_accuracy", direction="maximize",
                  n_trials=1, epochs=1, enqueue=[{{"blocks": 7}}])
"""


def study_file(tmp_path: Path, text: str, enqueue: str) -> Path:
    path = tmp_path / "study.py"
    path.write_text(text.format(enqueue=enqueue))
    return path


def test_a_new_study_begins_with_them_once(tmp_path: Path) -> None:
    file = study_file(tmp_path, TOY, '[{"x": 0.25, "y": 0.5}, {"x": 0.75}]')
    autotune.run(file, n_trials=3, workers=1, run_dir=tmp_path / "runs")
    study = autotune.run(file, n_trials=5, workers=1, run_dir=tmp_path / "runs")
    assert study.trials[0].params == {"x": 0.25, "y": 0.5}
    assert study.trials[1].params["x"] == 0.75
    assert [trial.params["x"] for trial in study.trials].count(0.25) == 1
    assert len(study.trials) == 5


def test_what_is_no_list_of_dicts_is_told(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="no list of dicts"):
        autotune.run(study_file(tmp_path, TOY, '{"x": 1}'), run_dir=tmp_path / "runs")


@pytest.mark.trains
def test_what_lies_outside_of_the_space_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"enqueue\[0\]: blocks=7 is not in"):
        autotune.run(study_file(tmp_path, DIGITS, ""), run_dir=tmp_path / "runs")
