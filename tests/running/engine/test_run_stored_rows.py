"""Rows that have changed on disk are found before they are trained on, and written anew; no trial fails for them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import optuna
import pytest

import autotune
from autotune.data.rows import Dataset
from autotune.data.stored import open_stored
from autotune.errors import DamagedStoreError
from autotune.running.processes.launching import Spawner
from autotune.running.processes.slots import Slot
from autotune.running.study.source import study_source
from autotune.running.tracking.events import Event, Note
from autotune.running.trial.answering import answer
from autotune.running.trial.preparing import Preparation, Prepare
from autotune.running.trial.requests import Request
from autotune.running.trial.trial_task import Assignment, RunTrial
from autotune.training.checkpoints.folder import TrialFolder

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # other processes need not be able to import the tests


def _rows() -> Dataset:
    return Dataset(np.arange(600.0).reshape(100, 6), np.arange(100) % 2, name="toy")


def prepare(tmp_path: Path, name: str = "toy", dataset: Any = _rows, **options: Any) -> Preparation:
    spec = autotune.StudySpec(
        name=name,
        dataset=dataset,
        build=lambda trial, data: None,
        monitor="val_loss",
        direction="minimize",
        **options,
    )
    here, there = Pipe()
    with here, there:
        Prepare(study_source(spec), None, tmp_path, tmp_path / name, [])(there)
        kind, value = here.recv()
    assert kind == "value", value
    assert isinstance(value, Preparation)
    return value


def _rows_files(prepared: Preparation) -> list[Path]:
    assert prepared.rows is not None
    return [*sorted(prepared.rows.dataset.iterdir()), prepared.rows.folds]


@pytest.mark.parametrize("file", range(4))
@pytest.mark.parametrize("left", [0, 0.5, None])
def test_each_file_that_was_damaged_is_written_anew_when_a_run_begins(
    tmp_path: Path, file: int, left: float | None
) -> None:
    before = prepare(tmp_path)
    files = _rows_files(before)
    assert [path.name for path in files[:3]] == ["dataset.json", "x.npy", "y.npy"]
    whole = files[file].read_bytes()
    if left is None:
        files[file].unlink()
    else:
        files[file].write_bytes(whole[: int(len(whole) * left)].ljust(len(whole), b"\0"))
    again = prepare(tmp_path)
    assert again.rows == before.rows
    assert files[file].read_bytes() == whole
    missing_folds = left is None and file == 3  # which may never have been written
    assert [str(files[file].parent if file < 3 else files[file]) in note for note in again.notes] == [
        True for _ in range(not missing_folds)
    ]
    assert prepare(tmp_path).notes == ()


def test_other_folds_of_the_same_name_are_found_although_they_can_be_read(tmp_path: Path) -> None:
    *_, folds = _rows_files(prepare(tmp_path))
    *_, others = _rows_files(prepare(tmp_path, seed=1))
    whole = folds.read_bytes()
    folds.write_bytes(others.read_bytes())
    assert len(prepare(tmp_path).notes) == 1
    assert folds.read_bytes() == whole


def test_studies_that_share_their_rows_find_them_whole_after_one_has_written_them_anew(tmp_path: Path) -> None:
    first = prepare(tmp_path, "first")
    assert first.rows is not None
    (first.rows.dataset / "y.npy").write_bytes(b"")
    second = prepare(tmp_path, "second")
    assert second.rows is not None
    assert second.rows.dataset == first.rows.dataset
    assert len(second.notes) == 1
    assert prepare(tmp_path, "first").notes == ()
    np.testing.assert_array_equal(open_stored(first.rows.dataset).y, _rows().y)


def test_a_dataset_that_cannot_be_made_again_the_same_is_other_data_as_ever(tmp_path: Path) -> None:
    before = prepare(tmp_path)
    assert before.rows is not None
    (before.rows.dataset / "x.npy").write_bytes(b"")
    after = prepare(tmp_path, dataset=lambda: Dataset(_rows().x + 1, _rows().y, name="toy"))
    assert after.rows is not None
    assert after.rows.digest != before.rows.digest
    assert after.notes == ()


def _damage_x(prepared: Preparation) -> str:
    _, x, _, _ = _rows_files(prepared)
    os.truncate(x, 200)
    return "x.npy"


def _remove_rows(prepared: Preparation) -> str:
    *files, _ = _rows_files(prepared)
    shutil.rmtree(files[0].parent)
    return files[0].parent.name


def _damage_folds(prepared: Preparation) -> str:
    *_, folds = _rows_files(prepared)
    folds.write_bytes(folds.read_bytes()[:-50])
    return folds.name


@pytest.mark.parametrize("damage", [_damage_x, _remove_rows, _damage_folds])
def test_a_trial_that_cannot_open_its_rows_waits_and_names_them(
    tmp_path: Path, damage: Callable[[Preparation], str]
) -> None:
    prepared = prepare(tmp_path)
    name = damage(prepared)
    spec: Any = {"name": "toy", "direction": "minimize", "dataset": _rows, "monitor": "val_loss"}
    source = study_source(autotune.StudySpec(**spec, build=lambda trial, data: None))
    task = RunTrial(source, Assignment(prepared.rows, ("trial", 0)), TrialFolder(tmp_path / "trial"), Slot(0, 1))
    with contextlib.closing(Spawner({})) as launcher:
        process = launcher.start(task)
        trial = optuna.create_study().ask()
        while isinstance(outcome := process.connection.recv(), Request):
            process.connection.send(answer(trial, outcome))
        process.exit_status()
    assert outcome.kind == "unusable"
    assert isinstance(outcome.error, DamagedStoreError)
    assert name in outcome.error.happened
    assert "Run the same command again" in outcome.error.fix


STUDY = """
import os
from pathlib import Path
import keras
import numpy as np
import optuna
from autotune import Dataset, Holdout, StudySpec

HERE = Path(__file__).parent

def rows():
    return Dataset(np.random.default_rng(0).normal(size=(64, 50_000)).astype("float32"), np.arange(64) % 2, name="toy")

def build(trial, data):
    mark = HERE / "damaged"
    if not mark.exists():
        mark.touch()
        (stored,) = HERE.glob("runs/datasets/toy-*/x.npy")
        os.truncate(stored, 1000)
        data.x.sum()
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(optimizer="sgd", loss="binary_crossentropy")
    return model

study = StudySpec(name="toy", dataset=rows, folds=Holdout(0.5), build=build, monitor="val_loss",
    direction="minimize", epochs=1, n_trials=1, keep_models=0, fit=lambda trial: {"batch_size": 32})
"""


@pytest.mark.trains
def test_a_store_that_is_truncated_while_trials_run_stops_the_run_and_is_whole_in_the_next(tmp_path: Path) -> None:
    """The trial that has it mapped is ended by the kernel: that is not its failure, and nobody's study file."""
    file, run_dir = tmp_path / "study.py", tmp_path / "runs"
    file.write_text(STUDY)
    with pytest.raises(DamagedStoreError) as caught:
        autotune.run(file, run_dir=run_dir, workers=1)
    assert "x.npy" in caught.value.happened
    assert "Run the same command again" in caught.value.fix
    study = optuna.load_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db")
    assert [trial.state.name for trial in study.get_trials()] == ["WAITING"]
    events: list[Event] = []
    study = autotune.run(file, run_dir=run_dir, workers=1, observer=events.append)
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE"]
    (note,) = [event for event in events if isinstance(event, Note)]
    assert note.number is None
    assert "x.npy has 1,000 bytes" in note.text
    assert os.listdir(run_dir / "datasets") == [next((run_dir / "datasets").iterdir()).name]
