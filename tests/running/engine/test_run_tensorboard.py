"""Runs with event files for TensorBoard: the same numbers, a folder for each trial, remembered by the study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

import autotune
from autotune.distribution import install_command
from autotune.errors import UsageError
from autotune.running.tracking import tracking

StudyFile = Callable[..., Path]

STUDY = """
import keras
from autotune import Holdout, StudySpec

def build(trial, data):
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(), keras.layers.Dropout(0.2),
        keras.layers.Dense(data.n_classes, activation="softmax")])
    model.compile(optimizer=keras.optimizers.Adam(trial.suggest_float("rate", 1e-3, 1e-1, log=True)),
        loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

study = StudySpec(name="digits", dataset="digits", folds=Holdout(0.1), build=build, monitor="val_accuracy",
    direction="maximize", epochs=2, n_trials=1, seed=0)
"""


def _numbers(study: optuna.Study) -> list[Any]:
    return [(trial.params, trial.value, trial.intermediate_values) for trial in study.trials]


def _runs(folder: Path) -> set[str]:
    return {str(file.parent.relative_to(folder)) for file in folder.rglob("events.*")}


@pytest.mark.trains
def test_event_files_change_no_number_and_are_remembered(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="no TensorBoard: install the extra tensorboard")
    file = tmp_path / "study.py"
    file.write_text(STUDY)
    without = autotune.run(file, run_dir=tmp_path / "without", workers=1)
    run_dir = tmp_path / "with"
    study = autotune.run(file, run_dir=run_dir, workers=1, tensorboard="run-dir")
    assert _numbers(study) == _numbers(without)
    assert not list((tmp_path / "without").rglob("events.*"))
    trial = lambda number: {f"{number:05d}{part}" for part in ("", "/train", "/validation")}  # noqa: E731 -- reason: short
    assert _runs(run_dir / "digits" / "tensorboard") == trial(0)
    autotune.run(file, run_dir=run_dir, workers=1, n_trials=2)
    assert _runs(run_dir / "digits" / "tensorboard") == trial(0) | trial(1)
    autotune.run(file, run_dir=run_dir, workers=1, n_trials=3, tensorboard=tmp_path / "all")
    assert _runs(tmp_path / "all") == {f"digits/{run}" for run in trial(2)}
    autotune.run(file, run_dir=run_dir, workers=1, n_trials=4, tensorboard="none")
    assert len(_runs(run_dir) | _runs(tmp_path / "all")) == 9


def test_a_plain_objective_writes_none(study_file: StudyFile, run_dir: Path) -> None:
    file = study_file("def objective(trial): return trial.suggest_float('x', 0, 1)")
    with pytest.raises(UsageError, match="the study has a plain objective"):
        autotune.run(file, run_dir=run_dir, workers=1, tensorboard="run-dir")


def test_a_missing_package_is_named_before_anything_is_trained(
    tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    file = tmp_path / "study.py"
    file.write_text(STUDY)
    with pytest.raises(UsageError, match="tensorboard, which is not installed") as error:
        autotune.run(file, run_dir=run_dir, workers=1, tensorboard="run-dir")
    assert install_command("tensorboard") in error.value.fix
