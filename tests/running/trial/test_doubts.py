"""What looks like a mistake is said before the first trial, and what cannot be used is refused there."""

from __future__ import annotations

from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autotune
from autotune.data.rows import Dataset
from autotune.errors import DataError
from autotune.results.final import opening
from autotune.results.final.opening import OpenTestRows
from autotune.running.processes.slots import Slot
from autotune.running.study.source import study_source
from autotune.running.trial import folder_for
from autotune.running.trial.preparing import Preparation, Prepare
from autotune.running.trial.search_space import PastTrial

X = np.arange(40.0).reshape(20, 2)
HALVES = np.arange(20) / 2


def _prepared(tmp_path: Path, y: Any, x: Any = X, repeats: int = 0, **study: Any) -> Any:
    options: Any = {"monitor": "val_loss", "direction": "minimize", "build": lambda trial, data: None, **study}
    spec = autotune.StudySpec(name="toy", dataset=lambda: Dataset(x, y, name="rows"), **options)
    here, there = Pipe()
    with here, there:
        Prepare(study_source(spec), None, tmp_path, tmp_path / "toy", [], repeats)(there)
        _, value = here.recv()
    return value


def _notes(tmp_path: Path, y: Any = HALVES, repeats: int = 0, **study: Any) -> list[str]:
    prepared = _prepared(tmp_path, y, repeats=repeats, **study)
    assert isinstance(prepared, Preparation), prepared
    return list(prepared.notes)


@pytest.mark.parametrize(
    ("monitor", "direction", "better"),
    [
        ("val_loss", "maximize", "smaller"),
        ("loss", "maximize", "smaller"),
        ("val_mae", "maximize", "smaller"),
        ("val_mean_squared_error", "maximize", "smaller"),
        ("val_sparse_categorical_crossentropy", "maximize", "smaller"),
        ("val_accuracy", "minimize", "larger"),
        ("val_top_k_categorical_accuracy", "minimize", "larger"),
        ("val_auc", "minimize", "larger"),
        ("val_f1_score", "minimize", "larger"),
        ("val_mean_io_u", "minimize", "larger"),
    ],
)
def test_a_direction_that_looks_like_a_slip_is_said(tmp_path: Path, monitor: str, direction: str, better: str) -> None:
    (note,) = _notes(tmp_path, monitor=monitor, direction=direction)
    assert f"to {direction} {monitor}, but {better} values of it usually are better" in note
    opposite = "minimize" if direction == "maximize" else "maximize"
    assert f'direction="{opposite}"' in note
    assert _notes(tmp_path, monitor=monitor, direction=opposite) == []


@pytest.mark.parametrize("monitor", ["val_score", "val_reward", "val_closs", "val_accuracy_error"])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_of_a_metric_of_ones_own_nothing_is_said(tmp_path: Path, monitor: str, direction: str) -> None:
    assert _notes(tmp_path, monitor=monitor, direction=direction) == []


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.arange(20) % 3 * 1.0, "are whole floats from 0 to 2, and are treated as numbers to predict"),
        (np.full(20, 4), "every row of 'rows' has the label 4"),
        (
            np.arange(20) // 10 * 45_000,
            "are 2 whole numbers up to 45,000, and are treated as classes: if they are numbers",
        ),
        (np.full(20, 0.5), "every target of 'rows' is 0.5"),
    ],
)
def test_targets_that_look_like_a_mistake_are_said(tmp_path: Path, y: Any, words: str) -> None:
    (note,) = _notes(tmp_path, y)
    assert words in note


@pytest.mark.parametrize("y", [np.arange(20) % 2, np.arange(20) % 3 + 1.0, np.arange(20) % 3 * 10.0, HALVES])
def test_ordinary_targets_pass_without_a_word(tmp_path: Path, y: Any) -> None:
    assert _notes(tmp_path, y) == []


def test_windows_of_one_series_are_said_and_written_down_with_the_study(tmp_path: Path) -> None:
    series = np.random.default_rng(0).normal(size=300)
    windows = np.lib.stride_tricks.sliding_window_view(series, 12).copy()
    prepared = _prepared(tmp_path, windows[:, 0], windows)
    assert prepared.leaks.startswith("warning: ")
    assert prepared.notes == (prepared.leaks,)
    again = _prepared(tmp_path, windows[:, 0], windows, repeats=2)
    assert (again.leaks, again.notes) == ("", ())


def test_the_trials_of_finalize_are_begun_without_the_same_words_again(tmp_path: Path) -> None:
    assert _notes(tmp_path, repeats=2, direction="maximize") == []


@pytest.fixture
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a task load its study here, where TensorFlow takes no settings any more."""
    monkeypatch.setattr(opening, "load_in_slot", lambda source, slot: source.load())


@pytest.mark.usefixtures("_in_this_process")
def test_test_rows_that_no_network_can_use_are_refused_before_anything_is_measured_on_them(tmp_path: Path) -> None:
    prepared = _prepared(tmp_path, HALVES)
    spec: Any = {"name": "toy", "monitor": "val_loss", "direction": "minimize", "build": lambda trial, data: None}
    test_rows = lambda: Dataset(np.full((3, 2), np.inf), np.zeros(3), name="held back")  # noqa: E731 -- reason: pickled
    source = study_source(autotune.StudySpec(**spec, dataset=lambda: Dataset(X, HALVES), test_dataset=test_rows))
    here, there = Pipe()
    with here, there:
        OpenTestRows(source, None, prepared.rows.dataset, (), "loss", Slot(0, 1))(there)
        _, error = here.recv()
    assert isinstance(error, DataError)
    assert "the test rows' x of 'held back' holds 6 times infinity" in error.happened


@pytest.mark.usefixtures("_in_this_process")
def test_functions_of_rows_that_take_an_argument_get_the_data_folder(tmp_path: Path) -> None:
    prepared = _prepared(tmp_path, HALVES)
    (tmp_path / "data").mkdir()
    spec: Any = {"name": "toy", "monitor": "val_loss", "direction": "minimize", "build": lambda trial, data: None}
    rows = lambda folder: Dataset(np.full((3, 2), np.inf), np.zeros(3), name=folder.name)  # noqa: E731 -- reason: pickled
    source = study_source(autotune.StudySpec(**spec, dataset=rows, test_dataset=rows))
    for task in (
        Prepare(source, tmp_path / "data", tmp_path, tmp_path / "toy", []),
        OpenTestRows(source, tmp_path / "data", prepared.rows.dataset, (), "loss", Slot(0, 1)),
    ):
        here, there = Pipe()
        with here, there:
            task(there)
            _, error = here.recv()
        assert isinstance(error, DataError)
        assert "x of 'data' holds 6 times infinity" in error.happened
    assert folder_for(lambda n=3: None, tmp_path) == folder_for(lambda: None, tmp_path) == ()


def test_numbers_that_are_none_are_refused_before_the_first_trial_and_before_they_are_stored(tmp_path: Path) -> None:
    x = X.copy()
    x[7, 1] = np.nan
    error = _prepared(tmp_path, HALVES, x)
    assert isinstance(error, DataError)
    assert "x[7, 1]" in error.happened
    assert not (tmp_path / "datasets").exists()


@pytest.mark.trains
@pytest.mark.parametrize("is_finished", [True, False])
def test_a_network_is_checked_again_until_a_trial_has_a_result(tmp_path: Path, is_finished: bool) -> None:
    """After a failed trial the study file may have been corrected, or not."""

    def build(trial: Any, data: Dataset) -> Any:
        import keras

        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    spec: Any = {"name": "toy", "monitor": "loss", "direction": "minimize", "build": build}
    source = study_source(autotune.StudySpec(**spec, dataset=lambda: Dataset(X)))
    past = [PastTrial(0, {}, {}, is_finished)]
    here, there = Pipe()
    with here, there:
        Prepare(source, None, tmp_path, tmp_path / "toy", past)(there)
        kind, _ = here.recv()
    assert kind == ("value" if is_finished else "error")
