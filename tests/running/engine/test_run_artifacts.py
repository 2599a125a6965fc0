"""What the trials of a run leave to look at, however they end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.artifacts import get_all_artifact_meta
from optuna.trial import TrialState

import autotune
from autotune.running.tracking.trial_artifacts import read_history

StudyFile = Callable[..., Path]

STUDY = '''
"""How does a trial end?"""
import os, signal
from pathlib import Path
import keras
import optuna
from autotune import Holdout, StudySpec

HERE = Path(__file__).parent

class Ending(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1 and self.number == 1:
            logs["loss"] = float("nan")
        if epoch == 2 and self.number == 2:
            until_written(0, 2)
            os.abort()
        if epoch == 2 and self.number == 3:
            raise ValueError("as planned")
        if epoch == 2 and self.number == 0 and not (HERE / "interrupted").exists():
            (HERE / "interrupted").touch()
            os.kill(int((HERE / "parent").read_text()), signal.SIGINT)
            signal.pause()

def build(trial, data):
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(),
        keras.layers.Dense(data.n_classes, activation="softmax")])
    model.compile(optimizer=keras.optimizers.Adam(trial.suggest_float("rate", 1e-3, 1e-1, log=True)),
        loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def fit(trial):
    ending = Ending()
    ending.number = trial.number
    return {"batch_size": 64, "callbacks": [ending]}

class PruneFour(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return trial.number == 4 and trial.last_step == 2

study = StudySpec(name="ends", dataset="digits", folds=Holdout(0.1), build=build, fit=fit, monitor="val_accuracy",
    direction="maximize", epochs=3, n_trials=4, seed=0, keep_models=2, pruner=PruneFour())
'''


def _left(study: optuna.Study) -> list[set[str]]:
    return [{meta.filename for meta in get_all_artifact_meta(trial, storage=study._storage)} for trial in study.trials]


@pytest.fixture
def _interrupt_key(tmp_path: Path) -> Iterator[None]:
    """Let trials interrupt this process, as Ctrl-C does, whatever started the tests."""
    (tmp_path / "parent").write_text(str(os.getpid()))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.trains
@pytest.mark.usefixtures("_interrupt_key")
def test_each_keras_trial_leaves_its_curves_and_what_belongs_to_its_end(
    tmp_path: Path, run_dir: Path, until_written: str
) -> None:
    file = tmp_path / "study.py"
    file.write_text(STUDY + until_written)
    with pytest.raises(KeyboardInterrupt):
        autotune.run(file, run_dir=run_dir, workers=1)
    study = autotune.run(file, run_dir=run_dir, workers=1)
    curves, confusion, log = {"history.json", "curves.png"}, {"confusion.json", "confusion.png"}, {"log.txt"}
    left = _left(study)
    assert [trial.state.name for trial in study.trials[:5]] == ["COMPLETE", "FAIL", "FAIL", "FAIL", "PRUNED"]
    assert left[:5] == [
        curves | confusion,  # among the best when it ended, and interrupted before
        curves | log,  # the loss became NaN
        curves | log,  # its process died without a word
        curves | log,
        curves,
    ]
    epochs = [len(fold["val_accuracy"]) for trial in study.trials for fold in read_history(study, trial) or []]
    assert epochs[:5] == [3, 2, 2, 2, 2]
    complete = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    for trial in complete:
        better = sum(t.value > trial.value for t in complete if t.number < trial.number)
        assert (confusion <= left[trial.number]) == (better < 2)
        (fold,) = read_history(study, trial) or []
        assert dict(enumerate(fold["val_accuracy"], start=1)) == trial.intermediate_values
        assert max(fold["val_accuracy"]) == trial.value


def test_plain_objectives_leave_their_log_when_they_fail(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            x = trial.suggest_float("x", 0, 1)
            if trial.number == 1:
                raise ValueError("as planned")
            trial.report(x, 1)
            return x
    """
    study = autotune.run(study_file(code, "'n_trials': 3"), run_dir=run_dir, workers=1)
    assert _left(study) == [set(), {"log.txt"}, set(), set()]
    (log,) = (run_dir / "toy" / "artifacts").iterdir()
    assert "ValueError: as planned" in log.read_text()
