"""A Keras trial that is interrupted on one machine goes on at another that shares the storage and an artifact store."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

import autotune
from autotune.errors import StorageError
from autotune.running.study.settings import read_settings
from autotune.running.tracking.events import Note

STUDY = """
import os
import signal
from pathlib import Path

import keras
from sklearn.datasets import load_digits

from autotune import Dataset, Holdout, StudySpec

HERE = Path(__file__).parent


class Recorder(keras.callbacks.Callback):
    def __init__(self, trial):
        super().__init__()
        self.number = trial.number

    def on_epoch_begin(self, epoch, logs=None):
        if (HERE / "parent").exists() and (self.number, epoch) == (1, 2):
            parent = int((HERE / "parent").read_text())
            (HERE / "parent").unlink()
            until_written(0, 2)
            os.kill(parent, signal.SIGINT)
            signal.pause()

    def on_epoch_end(self, epoch, logs=None):
        with open(HERE / "epochs", "a") as file:
            print(self.number, epoch, file=file)


def build(trial, data):
    model = keras.Sequential([
        keras.Input(data.input_shape),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(10, activation="softmax"),
    ])
    rate = trial.suggest_float("rate", 0.001, 0.1, log=True)
    model.compile(keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def digits():
    x, y = load_digits(return_X_y=True)
    return Dataset(x[:200] / 16, y[:200])


study = StudySpec(
    name="digits", dataset=digits, folds=Holdout(0.2), build=build, fit=lambda trial: {"callbacks": [Recorder(trial)]},
    monitor="val_loss", direction="minimize", epochs=4, n_trials=2, seed=7,
)
"""


@pytest.fixture
def _interrupt_key() -> Iterator[None]:
    """Let trials interrupt this process, as Ctrl-C does, whatever started the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _table(study: optuna.Study) -> list[object]:
    best = [t.user_attrs["best_epoch"] for t in study.get_trials()]
    return [best, *((t.number, t.state, t.params, t.value, t.intermediate_values) for t in study.get_trials())]


def _trained(folder: Path) -> list[str]:
    """Return the trials and epochs that were trained since this was last asked, in order."""
    lines = (folder / "epochs").read_text().splitlines()
    (folder / "epochs").unlink()
    return lines


def _objects(url: str) -> list[str]:
    """List the checkpoints in a bucket; curves and logs are there to stay."""
    import boto3

    listed = boto3.client("s3").list_objects_v2(Bucket=url.split("/")[2])
    return [item["Key"] for item in listed.get("Contents", []) if "/artifacts/" not in item["Key"]]


@pytest.mark.trains
@pytest.mark.usefixtures("_interrupt_key")
def test_a_trial_goes_on_elsewhere_from_a_bucket_and_without_one_starts_over(
    tmp_path: Path, s3_url: str, until_written: str
) -> None:
    file = tmp_path / "study.py"
    file.write_text(STUDY + until_written)
    (tmp_path / "parent").write_text(str(os.getpid()))
    shared: dict[str, Any] = {"workers": 1, "storage": f"sqlite:///{tmp_path}/shared.db"}
    with pytest.raises(KeyboardInterrupt):
        autotune.run(file, run_dir=tmp_path / "a", artifacts=s3_url, **shared)
    assert [name.split("/")[-1] for name in _objects(s3_url)] == ["00001.checkpoint"]
    assert _trained(tmp_path) == [*(f"0 {epoch}" for epoch in range(4)), "1 0", "1 1"]
    with closing(sqlite3.connect(tmp_path / "shared.db")) as db, closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        db.backup(copy)

    notes: list[Any] = []
    study = autotune.run(file, run_dir=tmp_path / "b", observer=notes.append, **shared)  # the bucket is remembered
    assert _trained(tmp_path) == ["1 2", "1 3"]
    assert [note for note in notes if isinstance(note, Note)] == []
    assert _objects(s3_url) == []

    shared["storage"] = f"sqlite:///{tmp_path}/copy.db"
    whole = autotune.run(file, run_dir=tmp_path / "c", artifacts="none", observer=notes.append, **shared)
    assert _trained(tmp_path) == [f"1 {epoch}" for epoch in range(4)]
    assert _table(study) == _table(whole)  # in the last run no trial was interrupted
    (note,) = [note for note in notes if isinstance(note, Note)]
    assert note == Note(1, "it has reported before, but there is no checkpoint of it here; it starts over")
    assert note.text in (tmp_path / "c" / "digits" / "trials" / "00001" / "log.txt").read_text()
    settings = read_settings(whole)
    assert settings is not None
    assert settings.artifacts is None


TOY = """
from autotune import StudySpec

def objective(trial):
    return trial.suggest_float("x", 0, 1)

study = StudySpec(name="toy", objective=objective, direction="minimize", n_trials=1)
"""


def test_a_store_is_remembered_and_checked_before_anything_is_trained(tmp_path: Path) -> None:
    file, store, run_dir = tmp_path / "study.py", tmp_path / "artifacts", tmp_path / "runs"
    file.write_text(TOY)
    settings = read_settings(autotune.run(file, run_dir=run_dir, workers=1, artifacts=f"file://{store}"))
    assert settings is not None
    assert settings.artifacts == str(store)
    again = read_settings(autotune.run(file, run_dir=run_dir, workers=1, n_trials=2))
    assert again is not None
    assert (again.artifacts, again.token) == (str(store), settings.token)
    shutil.rmtree(store)
    store.touch()
    for given in (None, str(store)):
        with pytest.raises(StorageError, match="cannot be used"):
            autotune.run(file, run_dir=run_dir, workers=1, n_trials=3, artifacts=given)
    study = autotune.run(file, run_dir=run_dir, workers=1, n_trials=3, artifacts="none")
    assert len(study.get_trials()) == 3


def test_two_studies_of_one_name_do_not_share_checkpoints(tmp_path: Path) -> None:
    file = tmp_path / "study.py"
    file.write_text(TOY)
    settings = [
        read_settings(autotune.run(file, run_dir=tmp_path / run_dir, workers=1, artifacts=str(tmp_path / "store")))
        for run_dir in ("one", "other")
    ]
    assert len({s.token for s in settings if s is not None and s.token}) == 2
