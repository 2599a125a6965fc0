"""Trials of several devices train on all of them, and end with the same numbers when they are killed."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

import autotune
from autotune.errors import TrainingError

pytestmark = pytest.mark.trains

STUDY = """
import os, signal
from pathlib import Path
import keras
from autotune import StudySpec

HERE = Path(__file__).parent

def build(trial, data):
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(),
        keras.layers.Dropout(trial.suggest_float("dropout", 0.0, 0.5)),
        keras.layers.Dense(data.n_classes, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    (HERE / "devices").write_text(str(model.distribute_strategy.num_replicas_in_sync))
    return model

class Killing(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if KILLS and epoch == 1 and not (HERE / "killed").exists():
            (HERE / "killed").touch()
            until_written(0, 1)
            os.kill(os.getpid(), signal.SIGKILL)

def fit(trial):
    return {"batch_size": BATCH, "callbacks": [Killing()]}

study = StudySpec(name="wide", dataset="digits", build=build, fit=fit, monitor="val_accuracy", direction="maximize",
    epochs=3, n_trials=1, seed=0, devices_per_trial=2)
"""


def _table(study: optuna.Study) -> list[object]:
    return [(t.state.name, t.params, t.value, t.intermediate_values) for t in study.get_trials()]


def test_a_killed_trial_of_two_devices_ends_as_if_it_had_not_been(
    tmp_path: Path, run_dir: Path, until_written: str
) -> None:
    file = tmp_path / "study.py"
    file.write_text(STUDY.replace("KILLS", "False").replace("BATCH", "64"))
    undisturbed = autotune.run(file, run_dir=tmp_path / "others", workers=1)
    assert (tmp_path / "devices").read_text() == "2"
    file.write_text(STUDY.replace("KILLS", "True").replace("BATCH", "64") + until_written)
    study = autotune.run(file, run_dir=run_dir, workers=1)
    assert (tmp_path / "killed").exists()
    assert _table(study) == _table(undisturbed)


def test_a_batch_that_devices_cannot_share_is_refused(tmp_path: Path, run_dir: Path) -> None:
    file = tmp_path / "study.py"
    file.write_text(STUDY.replace("KILLS", "False").replace("BATCH", "33"))
    with pytest.raises(TrainingError, match="33 rows a batch cannot be shared by 2 devices"):
        autotune.run(file, run_dir=run_dir, workers=1)
