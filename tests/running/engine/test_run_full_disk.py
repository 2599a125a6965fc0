"""A full disk stops a run in plain words; with room again it goes on, and nothing that was finished is lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import command_line
import numpy as np
import optuna
import pytest

import autotune
from autotune.errors import DiskFullError
from autotune.running.storages.opening import open_storage, sqlite_url
from autotune.running.study.places import make_writable
from autotune.running.study.source import study_source
from autotune.running.trial.preparing import Prepare

StudyFile = Callable[..., Path]

FILL = """
    def fill(leave=0):
        with open(HERE / "disk" / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 12))
            except OSError:
                pass
            file.truncate(max(0, file.tell() - leave))
"""

# The disk ends with the tests' end of the pipe, and so with the tests, however these end.
MOUNT = 'mount -t tmpfs -o size=6m tmpfs "$0" && echo mounted && cat; umount -l "$0"'


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give the folder of a disk of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with subprocess.Popen(
        ["/bin/sh", "-c", MOUNT, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # a Ctrl-C that ends the tests does not end it before its work is done
    ) as keeper:
        assert keeper.stdout is not None
        if keeper.stdout.readline() != "mounted\n":
            pytest.skip("needs to mount a small tmpfs, which takes root")
        yield folder
        keeper.communicate()


def _fill(disk: Path, leave: int = 0) -> None:
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))
    os.truncate(disk / "filler", max(0, (disk / "filler").stat().st_size - leave))


def _make_room(disk: Path) -> None:
    (disk / "filler").unlink()


def _run(file: Path, run_dir: Path, *arguments: str) -> command_line.Result:
    # A trial of which was stored that nobody runs it, but for lack of room not that it waits, takes a lease to go on.
    lease = ("--lease", "4")
    return command_line.autotune("run", file, "--run-dir", run_dir, *arguments, "--workers", "1", *lease)


def _expect_full(result: command_line.Result, disk: Path) -> None:
    assert result.returncode == 1, result.stderr
    first, *others = result.stderr.splitlines()
    assert first.startswith(f"DiskFullError: the disk is full: nothing more can be written in {disk}"), result.stderr
    assert len(others) == 2
    assert "run the same command again" in others[-1]


def _integrity(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def _states(storage: str, name: str = "toy") -> list[str]:
    return [trial.state.name for trial in optuna.load_study(study_name=name, storage=storage).get_trials()]


@pytest.mark.parametrize(
    "then",
    [
        "return x",  # the storage has no room for the value
        "(HERE / 'disk' / 'more').write_bytes(bytes(1 << 16))",
        "trial.set_user_attr('long', 'x' * 100_000)",
        "np.save(HERE / 'disk' / 'more', np.zeros(1 << 16))",
    ],
)
def test_a_disk_that_a_trial_fills_stops_the_run_and_it_goes_on_with_room(
    study_file: StudyFile, disk: Path, then: str
) -> None:
    code = f"""
    import numpy as np
    {FILL}
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        if trial.number == 2 and first_time("filled"):
            fill()
            {then}
        return x
    """
    file, run_dir = study_file(code, "'n_trials': 5"), disk / "runs"
    storage = sqlite_url(run_dir / "autotune.db")
    _expect_full(_run(file, run_dir), disk)
    _make_room(disk)
    assert _integrity(run_dir / "autotune.db") == "ok"
    before = optuna.load_study(study_name="toy", storage=storage).get_trials()
    assert [t.state.name for t in before[:2]] == ["COMPLETE"] * 2
    assert before[2].state.name in ("WAITING", "RUNNING")  # RUNNING where there was no room to say otherwise
    result = _run(file, run_dir)
    assert result.returncode == 0, result.stderr
    after = optuna.load_study(study_name="toy", storage=storage).get_trials()
    assert [(t.number, t.state.name) for t in after] == [(number, "COMPLETE") for number in range(5)]
    assert after[:2] == before[:2]
    assert after[2].params == before[2].params
    assert _integrity(run_dir / "autotune.db") == "ok"


@pytest.mark.parametrize("leave", [0, 4096, 40_000])
def test_a_run_on_a_full_disk_says_so_and_goes_on_with_room(study_file: StudyFile, disk: Path, leave: int) -> None:
    code = """
        def objective(trial):
            trial.set_user_attr("long", "x" * 10_000)
            return trial.suggest_float("x", 0, 1)
    """
    file, run_dir = study_file(code), disk / "runs"
    assert _run(file, run_dir, "--trials", "2").returncode == 0
    _fill(disk, leave)
    _expect_full(_run(file, run_dir, "--trials", "5"), disk)
    _make_room(disk)
    assert _integrity(run_dir / "autotune.db") == "ok"
    assert _run(file, run_dir, "--trials", "5").returncode == 0
    assert _states(sqlite_url(run_dir / "autotune.db")) == ["COMPLETE"] * 5


def test_a_first_run_on_a_full_disk_says_so(study_file: StudyFile, disk: Path) -> None:
    _fill(disk)
    file = study_file("def objective(trial): return 1.0")
    _expect_full(_run(file, disk / "runs"), disk)
    _make_room(disk)
    assert _run(file, disk / "runs").returncode == 0


def test_a_trial_is_not_lost_for_what_it_prints(study_file: StudyFile, disk: Path, tmp_path: Path) -> None:
    code = f"""{FILL}
    def objective(trial):
        print("before")
        if trial.number == 1:
            fill()
            for _ in range(1000):
                print("x" * 1000)
            print("x" * 1_000_000, file=sys.stderr)
        return 1.0
    """
    storage = sqlite_url(tmp_path / "roomy.db")
    study = autotune.run(study_file(code), run_dir=disk / "runs", storage=storage, workers=1)
    assert [t.state.name for t in study.get_trials()] == ["COMPLETE"] * 4
    assert (
        (disk / "runs" / "toy" / "trials" / "00001" / "log.txt")
        .read_text()
        .partition("\n")[2]
        .startswith("before\nxxx")
    )


def test_a_full_disk_for_the_output_does_not_end_a_search(study_file: StudyFile, disk: Path, run_dir: Path) -> None:
    _fill(disk)
    file = study_file("def objective(trial): return 1.0")
    command = [sys.executable, "-m", "autotune", "run", file, "--run-dir", run_dir, "--workers", "1"]
    with (disk / "filler").open("ab") as output:
        result = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("DiskFullError: the disk is full")
    assert len(result.stderr.splitlines()) == 3
    assert _states(sqlite_url(run_dir / "autotune.db")) == ["COMPLETE"] * 4


def test_an_error_of_a_full_disk_that_a_library_has_wrapped_stops_the_run_too(
    study_file: StudyFile, run_dir: Path
) -> None:
    code = """
        import errno

        def objective(trial):
            if trial.number == 1 and first_time("full"):
                try:
                    raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
                except OSError as error:
                    raise ValueError("cannot be saved") from error
            return 1.0
    """
    file = study_file(code)
    with pytest.raises(DiskFullError):
        autotune.run(file, run_dir=run_dir, workers=1)
    storage = sqlite_url(run_dir / "autotune.db")
    assert _states(storage) == ["COMPLETE", "WAITING"]
    autotune.run(file, run_dir=run_dir, workers=1)
    assert _states(storage) == ["COMPLETE"] * 4


def test_a_dataset_for_which_there_is_no_room_is_not_half_stored(disk: Path) -> None:
    spec = autotune.StudySpec(
        name="large",
        dataset=lambda: autotune.Dataset(np.zeros((2000, 1000), dtype=np.float32), np.arange(2000) % 2),
        folds=autotune.Holdout(0.1),
        build=lambda trial, data: None,
        monitor="val_loss",
        direction="minimize",
        epochs=1,
        n_trials=1,
    )
    ours, theirs = Pipe()
    Prepare(study_source(spec), None, disk / "runs", disk / "runs" / "large", [])(theirs)
    kind, error = ours.recv()
    assert kind == "error"
    assert isinstance(error, DiskFullError)
    assert str(disk / "runs") in error.happened
    assert [path for path in disk.rglob("*") if path.is_file()] == []


def test_a_storage_for_which_there_is_no_room_is_not_a_usage_error(disk: Path) -> None:
    (disk / "runs").mkdir()
    _fill(disk)
    with pytest.raises(DiskFullError):
        open_storage(sqlite_url(disk / "runs" / "autotune.db"))
    with pytest.raises(DiskFullError):
        make_writable(disk / "runs")


KERAS = """
import os
from pathlib import Path

import keras

from autotune import Holdout, StudySpec

HERE = Path(__file__).parent


def fill_once(when):
    try:
        (HERE / when).touch(exist_ok=False)
    except FileExistsError:
        return
    with open(HERE / "disk" / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            file.truncate(max(0, file.tell() - 40_000))


class Filler(keras.callbacks.Callback):
    def __init__(self, trial):
        super().__init__()
        self.number = trial.number

    def on_epoch_end(self, epoch, logs=None):
        with open(HERE / "epochs", "a") as file:
            print(self.number, epoch, file=file)
        if (self.number, epoch) == (0, 1):
            fill_once("in an epoch")

    def on_train_end(self, logs=None):
        if self.number == 1:
            fill_once("before the model is saved")


def build(trial, data):
    width = trial.suggest_int("width", 100, 120)
    layers = [keras.layers.Flatten(), keras.layers.Dense(width), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input(data.input_shape), *layers])
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


study = StudySpec(
    name="digits", dataset="digits", folds=Holdout(0.2), build=build, epochs=3, n_trials=2,
    fit=lambda trial: {"callbacks": [Filler(trial)], "batch_size": 128}, monitor="val_loss", direction="minimize",
)
"""


@pytest.mark.trains
def test_a_checkpoint_or_a_model_for_which_there_is_no_room_costs_no_trial(disk: Path, tmp_path: Path) -> None:
    file, run_dir = tmp_path / "study.py", disk / "runs"
    file.write_text(KERAS)
    results: list[list[str]] = []
    options: dict[str, Any] = {"run_dir": run_dir, "storage": sqlite_url(tmp_path / "roomy.db"), "workers": 1}
    for moment in ("in an epoch", "before the model is saved"):
        with pytest.raises(DiskFullError, match=str(disk)):
            autotune.run(file, **options)
        assert (tmp_path / moment).exists()
        results.append(_states(options["storage"], "digits"))
        _make_room(disk)
    assert results == [["WAITING"], ["COMPLETE", "WAITING"]]
    study = autotune.run(file, **options)
    assert [t.state.name for t in study.get_trials()] == ["COMPLETE"] * 2
    assert [sorted(t.intermediate_values) for t in study.get_trials()] == [[1, 2, 3]] * 2
    # The epoch whose checkpoint did not fit is trained again, the one that was trained meanwhile too, and no other.
    epochs = ["0 0", "0 1", "0 2", "0 1", "0 2", "1 0", "1 1", "1 2"]
    assert (tmp_path / "epochs").read_text().splitlines() == epochs
    folders = [run_dir / "digits" / "trials" / number for number in ("00000", "00001")]
    assert [sorted(path.name for path in folder.iterdir()) for folder in folders] == [["log.txt", "model.keras"]] * 2
