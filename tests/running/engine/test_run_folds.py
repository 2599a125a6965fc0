"""Cross-validation from the command line's side: four folds in every trial, however often it is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import optuna
import pytest

import autotune
from autotune.data.sources import load_development
from autotune.data.splits import split
from autotune.study import load_study_file

pytestmark = pytest.mark.trains

STUDY = """
import os, signal
from pathlib import Path
import keras
import optuna
from autotune import KFold, StudySpec

HERE = Path(__file__).parent
fitted = 0

ONE = keras.ops.ones(())  # the study file uses TensorFlow before it is configured

class Disturbance(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        marks = [f"{trial}-{fold}-{after}" for trial, fold, after in [DISTURBANCES]]
        name = f"{self.number}-{fitted}-{epoch}"
        if name in marks and not (HERE / name).exists():
            (HERE / name).touch()
            until_written(*((fitted - 1, epoch) if epoch else (fitted - 2, 2)))
            if self.number == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            os.kill(int((HERE / "parent").read_text()), signal.SIGINT)
            signal.pause()

def build(trial, data):
    units = 3 + int(data.y[:100].sum()) % 9  # as with a vocabulary, the rows decide the size: the second fold's is 10
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(), keras.layers.Dense(units),
        keras.layers.Dropout(trial.suggest_float("dropout", 0.0, 0.5)),
        keras.layers.Dense(data.n_classes, activation="softmax")])
    model.compile(optimizer=keras.optimizers.Adam(trial.suggest_float("rate", 1e-3, 1e-1, log=True)),
        loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def fit(trial):
    global fitted
    fitted += 1
    disturbance = Disturbance()
    disturbance.number = trial.number
    return {"batch_size": 64, "callbacks": [disturbance]}

study = StudySpec(name="folds", dataset="digits", folds=KFold(4), build=build, fit=fit, monitor="val_accuracy",
    direction="maximize", epochs=2, n_trials=2, seed=0)
"""


@pytest.fixture
def _interrupt_key(tmp_path: Path) -> Any:
    """Let trials interrupt this process, as Ctrl-C does, whatever started the tests."""
    (tmp_path / "parent").write_text(str(os.getpid()))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _table(study: optuna.Study) -> list[object]:
    kept = ("fold_values", "fold_std", "best_epoch", "n_parameters")
    return [
        (t.number, t.state.name, t.params, t.value, t.intermediate_values, [t.user_attrs[name] for name in kept])
        for t in study.get_trials()
    ]


@pytest.mark.usefixtures("_interrupt_key")
def test_trials_killed_in_their_third_fold_go_on_there_and_end_with_the_same_table(
    tmp_path: Path, run_dir: Path, until_written: str
) -> None:
    file = tmp_path / "study.py"
    file.write_text(STUDY.replace("DISTURBANCES", ""))
    undisturbed = autotune.run(file, run_dir=tmp_path / "others", workers=1)
    # A process is killed in the third fold of trial 0, the whole run is interrupted in that of trial 1.
    file.write_text(STUDY.replace("DISTURBANCES", "(0, 3, 1), (1, 3, 0)") + until_written)
    with pytest.raises(KeyboardInterrupt):
        autotune.run(file, run_dir=run_dir, workers=1)
    study = autotune.run(file, run_dir=run_dir, workers=1)
    assert _table(study) == _table(undisturbed)
    for trial in study.get_trials():
        assert trial.user_attrs["n_parameters"] == 65 * 10 + 11 * 10
        assert len(trial.user_attrs["fold_values"]) == 4
        assert list(trial.intermediate_values) == [1, 2, 3, 4, 5]  # two epochs of the first fold, then the folds
    logs = [(run_dir / "folds" / "trials" / f"0000{n}" / "log.txt").read_text() for n in (0, 1)]
    assert [log.count("Epoch 1/2") for log in logs] == [4, 5]
    assert [log.count("Epoch 2/2") for log in logs] == [5, 4]  # the epoch that was killed, and no other
    assert not [log for log in logs if "already" in log]


def test_a_trials_folds_are_those_of_the_study_and_of_no_chance(tmp_path: Path, run_dir: Path) -> None:
    file = tmp_path / "study.py"
    file.write_text(STUDY.replace("DISTURBANCES", "").replace("epochs=2, n_trials=2", "epochs=1, n_trials=1"))
    study = autotune.run(file, run_dir=run_dir, workers=1, folds=3)
    assert len(study.trials[0].user_attrs["fold_values"]) == 3
    spec, digits = load_study_file(file), load_development("digits")
    import numpy as np

    (stored,) = (run_dir / "folds").glob("folds-*.npz")
    with np.load(stored) as archive:
        for number, fold in enumerate(split(type(spec.folds)(3), digits, spec.seed)):
            np.testing.assert_array_equal(archive[f"validation_{number}"], fold.validation)
