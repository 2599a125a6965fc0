"""The winner on more and more rows: nested parts, shared seeds, trainings that can be stopped and go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import autotune
from autotune.cli import main
from autotune.data.stored import load_folds
from autotune.errors import StudyChangedError, StudyFailedError, UsageError
from autotune.results.data_efficiency.record import LearningCurve, read_learning_curve
from autotune.results.export.replaying import replay
from autotune.results.final.parts import Unfinished
from autotune.running.tracking.events import Event, Note, TrialEnded

pytestmark = pytest.mark.usefixtures("no_places_from_outside")
StudyFile = Callable[..., Path]

# Each trial notes how many rows it trains on.
DIGITS = """
import keras
from pathlib import Path
from autotune import Holdout, StudySpec

HERE = Path(__file__).parent

def build(trial, data):
    if (HERE / "small parts fail").exists() and len(data) < 400:
        raise ValueError("too few rows")
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(),
        keras.layers.Dense(trial.suggest_int("units", 4, 32), activation="relu"), keras.layers.Dropout(0.2),
        keras.layers.Dense(data.n_classes, activation="softmax")])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    trial.set_user_attr("rows", len(data))
    return model

study = StudySpec(name="toy", dataset="digits", folds=Holdout(0.2), build=build, monitor="val_accuracy",
    direction="maximize", epochs=2, n_trials=2, seed=0{more})
"""


@pytest.fixture
def digits(tmp_path: Path) -> Callable[..., Path]:
    def write(more: str = "") -> Path:
        path = tmp_path / "study.py"
        path.write_text(DIGITS.format(more=more))
        return path

    return write


def _load(run_dir: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{run_dir}/autotune.db")


def _measure(run_dir: Path, **options: Any) -> LearningCurve | Unfinished:
    given = {"fractions": (0.2, 0.5, 1), "repeats": 2, "workers": 2, **options}
    return autotune.learning_curve("toy", run_dir=run_dir, **given)


def _values(run_dir: Path) -> dict[tuple[int, float], float]:
    trials = _load(run_dir, "toy.learning-curve").trials
    return {(t.user_attrs["repeat"], t.user_attrs.get("fraction", 1.0)): t.value for t in trials}


@pytest.mark.trains
def test_the_best_trial_is_trained_on_nested_parts_and_the_curve_is_recorded(
    digits: Callable[..., Path], run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = autotune.run(digits(), run_dir=run_dir, workers=2)
    (searched,) = [load_folds(path) for path in (run_dir / "toy").glob("folds-*.npz")]
    curve = _measure(run_dir)
    assert isinstance(curve, LearningCurve)
    best = search.best_trial
    assert (curve.candidate, curve.is_final, curve.params) == (str(best.number), False, best.params)
    assert [(point.fraction, point.n_rows) for point in curve.points] == [(0.2, 231), (0.5, 576), (1.0, 1153)]
    trials = _load(run_dir, "toy.learning-curve").trials
    assert len(trials) == 6
    assert all(t.params == best.params and len(t.intermediate_values) == 2 for t in trials)
    by_rows = {point.n_rows: point.values for point in curve.points}
    for trial in trials:
        assert trial.value == by_rows[trial.user_attrs["rows"]][trial.user_attrs["repeat"]]
    for number in (0, 1):  # all rows and half of them
        assert replay("toy.learning-curve", number, run_dir=run_dir).is_same
    assert read_learning_curve(_load(run_dir, "toy")) == curve
    events: list[Event] = []
    assert _measure(run_dir, repeats=5, observer=events.append) == curve
    assert "recorded curve" in "".join(event.text for event in events if isinstance(event, Note))
    assert len(_load(run_dir, "toy.learning-curve").trials) == 6
    assert main(["learning-curve", "toy", "--run-dir", str(run_dir)]) == 0
    printed = capsys.readouterr().out
    assert curve.sentence in printed
    assert "1,153" in printed
    assert main(["learning-curve", "toy", "--run-dir", str(run_dir), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(curve.as_dict()))

    # Parts of a repeat are nested, and validate on the same rows.
    stored = [fold for path in (run_dir / "toy").glob("folds-*.npz") for fold in load_folds(path)]
    whole = [fold for fold in stored if len(fold.train) == 1153 and not np.array_equal(fold.train, searched[0].train)]
    assert len(whole) == 2
    for fold in whole:
        parts = [one for one in stored if np.array_equal(one.validation, fold.validation)]
        half, fifth = (next(one for one in parts if len(one.train) == n) for n in (576, 231))
        assert set(fifth.train) < set(half.train) < set(fold.train)


@pytest.mark.trains
def test_a_curve_that_was_interrupted_goes_on_and_ends_with_the_same_numbers(
    digits: Callable[..., Path], tmp_path: Path, run_dir: Path
) -> None:
    others = tmp_path / "others"
    autotune.run(digits(), run_dir=run_dir, workers=1, n_trials=1)
    shutil.copytree(run_dir, others)
    ended: list[TrialEnded] = []

    def interrupt(event: Event) -> None:
        if isinstance(event, TrialEnded):
            ended.append(event)
            if len(ended) == 2:
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        _measure(run_dir, fractions=(0.3, 1), observer=interrupt)
    signal.signal(signal.SIGINT, before)
    assert not read_learning_curve(_load(run_dir, "toy"))
    events: list[Event] = []
    curve = _measure(run_dir, repeats=3, observer=events.append)  # goes on with the fractions and repeats it began with
    assert curve == _measure(others, fractions=(0.3, 1), workers=1)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any("as it was begun" in text and "fractions 0.3, 1 and 2 repeats" in text for text in notes)
    assert _values(run_dir) == _values(others)
    assert len(_values(run_dir)) == 4


@pytest.mark.trains
def test_fractions_that_cannot_be_trained_are_left_out(
    digits: Callable[..., Path], tmp_path: Path, run_dir: Path
) -> None:
    autotune.run(digits(), run_dir=run_dir, workers=1, n_trials=1)
    (tmp_path / "small parts fail").touch()
    with pytest.raises(StudyFailedError, match=r"(?s)2 of 2 trainings have failed.*too few rows"):
        _measure(run_dir, fractions=(0.2,))
    storage = f"sqlite:///{run_dir}/autotune.db"
    optuna.delete_study(study_name="toy.learning-curve", storage=storage)
    curve = _measure(run_dir, fractions=(0.2, 1))
    assert isinstance(curve, LearningCurve)
    assert [point.fraction for point in curve.points] == [1.0]
    assert curve.n_failed == 2


@pytest.mark.trains
def test_a_search_on_a_part_is_confirmed_on_all_rows_and_replayed_on_its_part(
    digits: Callable[..., Path], tmp_path: Path, run_dir: Path
) -> None:
    part = digits(", train_fraction=0.25")
    search = autotune.run(part, run_dir=run_dir, workers=2, n_trials=1)
    assert {trial.user_attrs["rows"] for trial in search.trials} == {288}
    assert replay("toy", 0, run_dir=run_dir).is_same
    result = autotune.finalize("toy", top=1, repeats=2, run_dir=run_dir, workers=2)
    assert not isinstance(result, Unfinished)
    rows = {name: [t.user_attrs["rows"] for t in _load(run_dir, name).trials] for name in ("toy.confirm", "toy.final")}
    assert rows == {"toy.confirm": [1153, 1153], "toy.final": [1442, 1442]}
    assert replay("toy.confirm", 1, run_dir=run_dir).is_same
    curve = _measure(run_dir, fractions=(1,))
    assert isinstance(curve, LearningCurve)
    assert (curve.is_final, curve.candidate) == (True, result.confirmation.winner)
    confirmed = [trial.value for trial in _load(run_dir, "toy.confirm").trials]
    assert list(curve.points[-1].values) == confirmed  # all rows with the same seeds and splits
    with pytest.raises(StudyChangedError, match=r"(?s)split changed.*of the training rows: was 0\.25, is now 1\.0"):
        autotune.run(digits(), run_dir=run_dir)


TOY = """
    def objective(trial):
        return trial.suggest_float("x", 0, 1)
"""


def test_a_plain_objective_has_no_training_rows(study_file: StudyFile, run_dir: Path) -> None:
    autotune.run(study_file(TOY, "'n_trials': 1"), run_dir=run_dir, workers=1)
    with pytest.raises(UsageError, match="plain objective"):
        _measure(run_dir)


def test_a_study_without_a_complete_trial_has_no_winner(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            trial.report(1.0, 1)
            raise optuna.TrialPruned
    """
    autotune.run(study_file(code, "'n_trials': 1"), run_dir=run_dir, workers=1)
    with pytest.raises(UsageError, match="has no winner"):
        _measure(run_dir)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": (0.5, 1.2)}, r"fractions is 0\.5, 1\.2"),
        ({"fractions": (0.0, 1)}, "fractions is 0, 1"),
        ({"fractions": ()}, "fractions is empty"),
        ({"repeats": 1}, "repeats is 1"),
        ({"timeout_s": 0.0}, "timeout is 0"),
        ({}, "there are no studies"),
    ],
)
def test_what_cannot_be_measured_is_said(options: dict[str, Any], message: str, run_dir: Path) -> None:
    with pytest.raises(UsageError, match=message):
        _measure(run_dir, **options)
    assert not run_dir.exists()


def test_fractions_on_the_command_line_are_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["learning-curve", "toy", "--fractions", "0.1,half"])
    assert caught.value.code == 2
    assert "'0.1,half' is no list of numbers like 0.1,0.3,1" in capsys.readouterr().err
