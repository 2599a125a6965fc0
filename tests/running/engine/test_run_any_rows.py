"""A study of several inputs, outputs and stages goes the whole way, and interruptions change nothing."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest

import autotune
from autotune.results.export import export
from autotune.results.final import FinalResult
from autotune.results.report import write_report

pytestmark = pytest.mark.trains

STUDY = """
import os, signal
from pathlib import Path
import keras
import numpy as np
from autotune import Dataset, Holdout, KFold, Latest, StudySpec

HERE = Path(__file__).parent
N = 90

def rows(seed):
    rng = np.random.default_rng(seed)
    x = {"numbers": rng.random((N, 3)).astype("float32"), "tokens": [rng.integers(1, 9, 1 + i % 5) for i in range(N)]}
    y = {"kind": np.arange(N) % 3, "sum": x["numbers"].sum(axis=1)}
    return Dataset(x, y, sample_weight={"kind": rng.random(N), "sum": np.ones(N)}, stratify=y["kind"], name="made up")

def development():
    return rows(0)

def test():
    return rows(1)

def compiled(model, optimizer):
    model.compile(optimizer, loss={"kind": "sparse_categorical_crossentropy", "sum": "mse"},
        metrics={"kind": ["accuracy"]})
    return model

def build(trial, data):
    layers = keras.layers
    numbers = keras.Input(data.input_shape["numbers"], name="numbers")
    tokens = keras.Input(data.input_shape["tokens"], dtype="int64", name="tokens")
    words = layers.GlobalAveragePooling1D()(layers.Embedding(9, 4, mask_zero=True, name="words")(tokens))
    joined = layers.Dropout(trial.suggest_float("dropout", 0.0, 0.5))(layers.Concatenate()([numbers, words]))
    model = keras.Model({"numbers": numbers, "tokens": tokens}, {
        "kind": layers.Dense(3, activation="softmax", name="kind")(joined), "sum": layers.Dense(1, name="sum")(joined)})
    model.get_layer("words").trainable = False
    return compiled(model, keras.optimizers.Adam(0.01))

class Killing(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        mark = HERE / f"killed-{self.number}-{epoch}"
        if (self.number, epoch) in [KILLS] and not mark.exists():
            mark.touch()
            until_written(self.folds_before, epoch)
            os.kill(os.getpid(), signal.SIGKILL)

fitted = 0

def fit(trial):
    global fitted
    stages = []
    for n, before in ((2, None), (2, unfreeze)):
        killing = Killing()
        killing.number, killing.folds_before = trial.number, fitted
        stages.append({"epochs": n, "batch_size": 16, "before": before, "callbacks": [killing]})
    fitted += 1
    return stages

def unfreeze(model):
    model.get_layer("words").trainable = True
    compiled(model, keras.optimizers.SGD(0.05, momentum=0.9))

def batch(trial, batch, rng):
    x, y, weight = batch
    noise = trial.suggest_float("noise", 0.01, 0.1) * rng.standard_normal(x["numbers"].shape)
    return {**x, "numbers": x["numbers"] + noise.astype("float32")}, y, weight

def score(model, rows):
    found = model.predict({"numbers": rows.x["numbers"], "tokens": rows.x["tokens"].padded()}, verbose=0)
    return {"off": float(np.abs(found["sum"][:, 0] - rows.y["sum"]).mean())}

study = StudySpec(name="whole", dataset=development, test_dataset=test, folds=FOLDS, build=build, fit=fit, batch=batch,
    score=score, monitor="off", direction="minimize", n_trials=2, seed=0)
"""


def _table(study: optuna.Study) -> list[object]:
    return [(t.number, t.state.name, t.params, t.value, t.intermediate_values) for t in study.get_trials()]


# tests/training/trials/test_stages.py interrupts trials in each stage, test_run_folds.py kills them.
@pytest.mark.slow
@pytest.mark.parametrize("folds", ["Holdout(0.2)", "KFold(2)"])
def test_a_trial_that_is_killed_in_each_stage_ends_with_the_same_table(
    tmp_path: Path, run_dir: Path, until_written: str, folds: str
) -> None:
    file = tmp_path / "study.py"
    file.write_text(STUDY.replace("FOLDS", folds).replace("KILLS", ""))
    undisturbed = autotune.run(file, run_dir=tmp_path / "others", workers=1, n_trials=1)
    file.write_text(STUDY.replace("FOLDS", folds).replace("KILLS", "(0, 1), (0, 3)") + until_written)
    study = autotune.run(file, run_dir=run_dir, workers=1, n_trials=1)
    assert (tmp_path / "killed-0-1").exists()
    assert (tmp_path / "killed-0-3").exists()
    assert _table(study) == _table(undisturbed)
    assert set(study.trials[0].params) == {"dropout", "noise"}


def test_the_winner_is_confirmed_tested_exported_and_reported(tmp_path: Path, run_dir: Path) -> None:
    file = tmp_path / "study.py"
    file.write_text(STUDY.replace("FOLDS", "Latest(0.2, gap=2)").replace("KILLS", ""))
    autotune.run(file, run_dir=run_dir, workers=2, n_trials=1)
    result = autotune.finalize("whole", run_dir=run_dir, workers=2, top=1, repeats=2, trust=True)
    assert isinstance(result, FinalResult)
    assert result.confirmation.remark.startswith("Each repeat moves the split back in time")
    assert result.test is not None
    assert result.test.metric == "off"
    assert {"loss", "kind_accuracy"} <= set(result.test.others)
    card = json.loads(export("whole", tmp_path / "out", run_dir=run_dir).card.read_text())
    assert {name: one["shape"] for name, one in card["inputs"].items()} == {
        "numbers": [None, 3],
        "tokens": [None, None],
    }
    assert card["outputs"]["sum"]["shape"] == [None, 1]
    page = write_report("whole", run_dir=run_dir).read_text()
    assert "Each repeat moves the split back in time" in page
