"""The advice of a search in its note on the dashboard."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna_dashboard import get_note

from autotune.cli import main

DIGITS = """
import keras
from autotune import StudySpec, models

def build(trial, data):
    return models.build_cnn(data, blocks=1, filters=2, dropout=trial.suggest_float("dropout", 0.0, 0.5))

study = StudySpec(name="toy", dataset="digits", build=build, monitor="val_accuracy", direction="maximize",
                  n_trials=2, epochs=1)
"""


@pytest.mark.trains
def test_a_run_leaves_its_advice_in_the_note(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(DIGITS)
    assert main(["run", str(tmp_path / "study.py"), "--run-dir", str(tmp_path / "runs")]) == 0
    study = optuna.load_study(study_name="toy", storage=f"sqlite:///{tmp_path}/runs/autotune.db")
    note = get_note(study)
    assert "Run more trials before you conclude: autotune resume toy --trials 20" in note
    assert "There are 2 finished trials for 1 hyperparameters." in note
