"""A Keras script as people have it, with `KeepEpochs`: killed anywhere, it ends bit for bit as if it had not been."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

import autotune

# tests/running/trial/test_keep_epochs.py interrupts the same in one process; test_run_keeping.py kills what keeps its
# epochs without Keras.
pytestmark = [pytest.mark.trains, pytest.mark.slow]

StudyFile = Callable[..., Path]

SCRIPT = """
    import hashlib
    import random

    import keras
    import numpy as np
    import autotune

    x = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
    y = (x.sum(axis=1) > 0).astype("int32")

    class Power(keras.callbacks.Callback):
        def __init__(self, trial, fit):
            super().__init__()
            self.place = (trial.number, fit)

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch
            with open(HERE / "epochs", "a") as file:
                print(*self.place, epoch, file=file)

        def on_train_batch_begin(self, batch, logs=None):
            if batch == 3:
                disturb(*self.place, self.epoch)

    class Noise(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            for weight in self.model.trainable_weights:
                weight.assign_add(np.random.normal(size=weight.shape) * random.random() * 0.01)

    def train(trial, model, fit, epochs, *others):
        keep = autotune.KeepEpochs(trial, monitor="val_loss", name=fit)
        return model.fit(x[:40], y[:40], batch_size=8, epochs=epochs, validation_data=(x[40:], y[40:]), verbose=2,
            callbacks=[keep, Power(trial, fit), Noise(), *others]).history

    def objective(trial):
        model = keras.Sequential([keras.layers.Dense(8, activation="relu"), keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3), keras.layers.Dense(2, activation="softmax")])
        model.compile(keras.optimizers.Adam(trial.suggest_float("rate", 1e-3, 1e-2)),
            loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        first = train(trial, model, "first", 9,
            keras.callbacks.EarlyStopping("val_loss", min_delta=100.0, patience=4, restore_best_weights=True),
            keras.callbacks.ReduceLROnPlateau("val_loss", min_delta=100.0, patience=2, factor=0.5))
        disturb(trial.number, "between", 0)
        second = train(trial, model, "second", 3)
        disturb(trial.number, "behind", 0)
        weights = hashlib.sha256(b"".join(one.tobytes() for one in model.get_weights())).hexdigest()
        trial.set_user_attr("weights", weights)
        trial.set_user_attr("histories", [first, second])
        trial.set_user_attr("evaluated", model.evaluate(x, y, verbose=0))
        return min(second["val_loss"])
"""
UNDISTURBED = """
    def disturb(*place):
        pass
"""
KILLED = """
    def disturb(*place):
        moments = [(0, "first", 2), (0, "second", 1), (1, "first", 0), (1, "between", 0), (1, "behind", 0)]
        if place in moments and first_time("-".join(map(str, place))):
            os.kill(os.getpid(), signal.SIGKILL)
"""
OPTIONS = "'n_trials': 2, 'pruner': optuna.pruners.NopPruner()"


def _table(study: optuna.Study) -> list[Any]:
    return [(t.number, t.state.name, t.params, t.value, t.intermediate_values, t.user_attrs) for t in study.trials]


def test_a_script_that_is_killed_often_ends_with_the_same_numbers(
    study_file: StudyFile, run_dir: Path, tmp_path: Path
) -> None:
    file = study_file(UNDISTURBED + SCRIPT, OPTIONS)
    undisturbed = _table(autotune.run(file, run_dir=tmp_path / "undisturbed", workers=1))
    for _, state, _, _, reports, attributes in undisturbed:
        first, second = attributes["histories"]
        assert state == "COMPLETE"
        assert (len(first["loss"]), len(second["loss"])) == (5, 3)  # EarlyStopping ended the first one
        assert reports == dict(enumerate(first["val_loss"] + second["val_loss"], start=1))
        assert first["learning_rate"][-1] < first["learning_rate"][0]
    (tmp_path / "epochs").unlink()
    killed = study_file(KILLED + SCRIPT, OPTIONS)
    assert _table(autotune.run(killed, run_dir=run_dir, workers=1)) == undisturbed
    epochs = {number: [f"{number} first {n}" for n in range(5)] for number in (0, 1)}
    epochs = {number: [*first, *(f"{number} second {n}" for n in range(3))] for number, first in epochs.items()}
    epochs[0].insert(2, "0 first 2")  # those in which it was killed are trained again, and no other
    epochs[0].insert(7, "0 second 1")
    epochs[1].insert(0, "1 first 0")
    assert (tmp_path / "epochs").read_text().splitlines() == epochs[0] + epochs[1]
    assert len(list(tmp_path.glob("[01]-*-*"))) == 5
