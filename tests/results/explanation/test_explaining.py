"""What a study's model sees: of which model, on which rows, found out once."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
import pandas as pd
import pytest

import autotune
from autotune.cli import main
from autotune.data.rows import Dataset
from autotune.data.sources import load_development
from autotune.data.stored import load_folds
from autotune.errors import UsageError
from autotune.results.advice import Story
from autotune.results.explanation.attributing import with_reasons
from autotune.results.explanation.explaining import explain, read_explanation, with_metrics
from autotune.results.explanation.picturing import pictures_of, write_pictures
from autotune.results.explanation.record import (
    Explanation,
    Subject,
    explanation_folder,
    read_record,
    write_record,
)
from autotune.results.final.confirmation import Candidate, Confirmation
from autotune.results.final.record import FinalResult, record_result
from autotune.results.report import seen
from autotune.results.summary import settings_of
from autotune.terminal.printing import print_explanation
from autotune.training.outputs import find
from autotune.training.outputs.describing import features_of
from autotune.training.outputs.findings import Example, Findings

pytestmark = pytest.mark.usefixtures("no_places_from_outside")
StudyFile = Callable[..., Path]

DIGITS = """
import keras
from autotune import Holdout, KFold, StudySpec

class Own(keras.layers.Dense):
    pass

def build(trial, data):
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(),
        Own(trial.suggest_int("units", 4, 16), activation="relu"), keras.layers.Dropout(0.5),
        keras.layers.Dense(data.n_classes, activation="softmax")])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

study = StudySpec(name="toy", dataset="digits", folds={folds}, build=build, monitor="val_accuracy",
    direction="maximize", epochs=3, n_trials=2, seed=0)
"""


def _found(model: keras.Model, data: Dataset, positions: Any, one_hot: bool = False) -> Findings:
    """Return the findings about the only output of a model."""
    (found,) = find(model, data, positions, one_hot)
    return with_reasons(model, data, positions, found)


def _pictures(findings: Findings) -> dict[str, Any]:
    return {picture.name: picture.figure for picture in pictures_of(findings)}


def _values(example: Example) -> Any:
    """Return the attributions of the only input for the predicted class."""
    assert example.for_predicted is not None
    return example.for_predicted.values[0]


def _row(example: Example) -> Any:
    return example.inputs[0].row


def _run(tmp_path: Path, run_dir: Path, folds: str = "Holdout(0.2)") -> optuna.Study:
    (tmp_path / "study.py").write_text(DIGITS.format(folds=folds))
    return autotune.run(tmp_path / "study.py", run_dir=run_dir, workers=2)


def _confirm(study: optuna.Study, number: int) -> None:
    """Record a trial as the confirmed winner, without the trainings that this takes."""
    winner = Candidate(str(number), study.trials[number].params, None, None, None, 0, None, None)
    confirmation = Confirmation((winner,), str(number), False, None, 2)
    record_result(study, FinalResult("toy", "maximize", "val_accuracy", confirmation, None, (), None, {}))


@pytest.mark.trains
def test_examples_are_validation_rows_and_the_same_question_is_not_answered_twice(
    tmp_path: Path, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = _run(tmp_path, run_dir)
    assert read_explanation(study, run_dir / "toy") is None
    first = explain("toy", run_dir=run_dir)
    _expect_validation_rows(first, run_dir)
    assert first.subject.trial == study.best_trial.number
    assert first.subject.value == study.best_value
    (findings,) = first.findings
    assert findings.n_right / findings.n_rows == pytest.approx(study.best_value)
    assert not first.subject.is_winner

    record = first.folder / "record.npz"
    written = record.stat().st_mtime_ns
    again = explain("toy", run_dir=run_dir)
    assert record.stat().st_mtime_ns == written
    assert [one.position for one in again.findings[0].wrong] == [one.position for one in findings.wrong]

    _confirm(study, 1 - study.best_trial.number)  # now another model stands for the answer
    assert read_explanation(study, run_dir / "toy") is None
    assert main(["explain", "toy", "--run-dir", str(run_dir)]) == 0
    printed = capsys.readouterr().out
    assert f"trial {1 - study.best_trial.number}, the confirmed winner" in printed
    assert re.search(r"\d read as \d: \d+ of \d+ rows", printed)
    pictures = ["confusion.png", "mistakes.png", "right.png", "record.npz"]
    assert sorted(path.name for path in first.folder.iterdir()) == sorted(pictures)


def _expect_validation_rows(found: Explanation, run_dir: Path) -> None:
    (fold,) = load_folds(next((run_dir / "toy").glob("folds-*.npz")))
    data, (findings,) = load_development("digits"), found.findings
    assert findings.n_rows == len(fold.validation)
    assert findings.confusion is not None
    assert findings.confusion.sum(axis=1).tolist() == np.bincount(data.y[fold.validation]).tolist()
    assert findings.right
    assert findings.wrong
    for example in (*findings.right, *findings.wrong):
        assert example.position in fold.validation
        assert example.true == data.y[example.position]
        assert _row(example).tolist() == data.x[example.position].tolist()
        assert example.for_predicted is not None
        assert example.for_predicted.end == pytest.approx(example.probability, abs=1e-5)
        assert abs(example.for_predicted.gap) < 0.02
    assert all(one.true == one.predicted and one.for_true is None for one in findings.right)
    assert all(one.true != one.predicted and one.for_true is not None for one in findings.wrong)
    sureness = [one.probability or 0.0 for one in findings.wrong]
    assert sureness == sorted(sureness, reverse=True)


@pytest.mark.trains
def test_a_study_with_folds_says_what_it_would_take(tmp_path: Path, run_dir: Path) -> None:
    _run(tmp_path, run_dir, "KFold(2)")
    with pytest.raises(UsageError, match=r"(?s)trained 2 times, on k folds.*Holdout\(0.1\) and keep_models"):
        explain("toy", run_dir=run_dir)
    assert not explanation_folder(run_dir / "toy").exists()


GROUPS = """
import keras
import numpy as np
from sklearn.model_selection import GroupShuffleSplit, TimeSeriesSplit
from autotune import Dataset, GroupKFold, StudySpec

def development():
    x = np.random.default_rng(0).random((40, 2)).astype("float32")
    return Dataset(x, (x[:, 0] > 0.5).astype(int), groups=np.arange(40) // 2)

def build(trial, data):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

study = StudySpec(name="toy", dataset=development, folds={folds}, build=build, monitor="val_accuracy",
    direction="maximize", epochs=1, n_trials=1, seed=0)
"""


@pytest.mark.trains
@pytest.mark.parametrize(
    ("folds", "advice"),
    [("GroupKFold(2)", "GroupShuffleSplit(1, test_size=0.1)"), ("TimeSeriesSplit(2)", "Latest(0.1)")],
)
def test_a_study_with_groups_or_periods_is_not_told_to_mix_them(
    tmp_path: Path, run_dir: Path, folds: str, advice: str
) -> None:
    (tmp_path / "study.py").write_text(GROUPS.format(folds=folds))
    study = autotune.run(tmp_path / "study.py", run_dir=run_dir)
    with pytest.raises(UsageError, match=r"trained 2 times") as found:
        explain("toy", run_dir=run_dir)
    assert f"folds={advice}" in found.value.fix
    assert "Holdout" not in found.value.fix
    told = seen.model(Story(study, run_dir / "toy", settings_of(study), None)).body
    assert told.startswith("<p>What the model sees is not known: no trial of &#x27;toy&#x27; has kept its model: each")
    assert "Error" not in told


@pytest.mark.trains
def test_a_holdout_of_whole_groups_can_be_explained(tmp_path: Path, run_dir: Path) -> None:
    (tmp_path / "study.py").write_text(GROUPS.format(folds="GroupShuffleSplit(1, test_size=0.1)"))
    autotune.run(tmp_path / "study.py", run_dir=run_dir)
    explain("toy", run_dir=run_dir)
    (fold,) = load_folds(next((run_dir / "toy").glob("folds-*.npz")))
    assert not set(fold.train // 2) & set(fold.validation // 2)


def test_a_plain_objective_has_no_model_to_explain(study_file: StudyFile, run_dir: Path) -> None:
    autotune.run(study_file("def objective(trial):\n    return trial.suggest_float('x', 0, 1)"), run_dir=run_dir)
    with pytest.raises(UsageError, match=r"(?s)trains networks of its own.*`autotune report`"):
        explain("toy", run_dir=run_dir)


def _model(n: int, outputs: int, activation: str | None = None) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((n,)), keras.layers.Dense(outputs, activation=activation)])


def test_a_number_to_be_predicted_has_largest_errors_and_what_raises_it() -> None:
    rng = np.random.default_rng(0)
    data = Dataset(rng.normal(size=(30, 4)).astype(np.float32), rng.normal(size=30))
    model = _model(4, 1)
    found = _found(model, data, np.arange(100, 130))
    assert found.confusion is None
    assert found.true is not None
    assert found.predicted is not None
    errors = np.abs(found.true - found.predicted)[:, 0]
    assert [one.position for one in found.wrong] == (100 + np.argsort(-errors)[:12]).tolist()
    assert _pictures(found).keys() == {"predictions", "errors"}
    weights = model.get_weights()[0][:, 0]
    expected = (_row(found.wrong[0]) - data.x.mean(axis=0)) * weights
    assert _values(found.wrong[0]) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def _compiled(n: int, outputs: int, loss: str, activation: str | None = None) -> keras.Model:
    model = _model(n, outputs, activation)
    model.compile(loss=loss)
    return model


def _shown(findings: Findings, tmp_path: Path) -> tuple[str, str]:
    """Return what the report shows of findings, and what the command prints."""
    return _shown_all((findings,), tmp_path)


def _shown_all(findings: tuple[Findings, ...], tmp_path: Path) -> tuple[str, str]:
    explanation = Explanation(Subject("toy", 3, 0.5, "val_loss", True, "abc"), findings, tmp_path)
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        print_explanation(explanation, [])
    return seen.shown(explanation), stream.getvalue()


@pytest.mark.parametrize("n_values", [37, 2])
def test_a_regression_on_whole_numbers_confuses_no_classes(tmp_path: Path, n_values: int) -> None:
    rng = np.random.default_rng(0)
    data = Dataset(
        rng.normal(size=(74, 2)).astype(np.float32), np.arange(74) % n_values, feature_names=["age", "<b>height</b>"]
    )
    found = _found(_compiled(2, 1, "mse"), data, np.arange(100, 174))
    assert found.confusion is None
    assert found.class_names == ()
    assert _pictures(found).keys() == {"predictions", "errors"}
    page, printed = _shown(found, tmp_path)
    worst = found.wrong[0]
    assert f"row {worst.position}: {worst.true:.4g} predicted as {worst.predicted:.4g}\n" in printed
    assert f"age = {_row(worst)[0]:.4g} (" in printed
    assert f"&lt;b&gt;height&lt;/b&gt; = {_row(worst)[1]:.4g} (" in page
    for text in (page, printed):
        assert "read as" not in text
        assert "right about" not in text


@pytest.mark.parametrize("outputs", [2, 64])
def test_a_model_that_predicts_neither_classes_nor_a_number_is_told_how_to_say_so(outputs: int, tmp_path: Path) -> None:
    data = Dataset(np.eye(74, dtype=np.float32), np.arange(74) % 37)
    found = _found(_model(74, outputs), data, np.arange(74))
    assert found.kind == "nothing"
    assert _pictures(found) == {}
    page, printed = _shown(found, tmp_path)
    assert re.search(r"neither its loss nor its metrics say.*metrics=\[.accuracy.\]", printed)
    assert "There is nothing else to show: the model puts out" in page


class Filled(keras.layers.Layer):  # type: ignore[misc]  # reason: Keras ships no types
    """Puts 0 in the place of what is missing."""

    def call(self, x: Any) -> Any:
        return keras.ops.where(keras.ops.isnan(x), keras.ops.zeros_like(x), x)


def _with_missing(names: list[str] | None) -> Findings:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((10,)), Filled(), keras.layers.Dense(2, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(40, 10)).astype(np.float32)
    x[:, 2] = np.nan  # in all rows
    x[::2, 4] = np.nan
    return _found(model, Dataset(x, np.arange(40) % 2, allow_nan=True, feature_names=names), np.arange(40))


def test_rows_of_a_table_are_shown_as_names_and_values_of_features(tmp_path: Path) -> None:
    names = [f"measure {letter}" for letter in "abcdefghij"]
    found = _with_missing(names)
    figures = _pictures(found)
    assert figures.keys() == {"confusion", "mistakes", "right"}
    for example in (*found.right, *found.wrong):
        assert example.for_predicted is not None
        assert np.isfinite(_values(example)).all()
        assert _values(example)[2] == 0
        assert abs(example.for_predicted.gap) < 0.02
    labels = [label.get_text() for label in figures["mistakes"].axes[0].get_yticklabels()]
    first = found.wrong[0]
    assert first.for_predicted is not None
    most = int(np.argmax(np.abs(_values(first))))
    assert labels[0] == f"measure {'abcdefghij'[most]} = {_row(first)[most]:.4g}"
    assert (len(labels), labels[-1]) == (9, "2 others")
    assert not [axes for figure in (figures["mistakes"], figures["right"]) for axes in figure.axes if axes.images]
    _, printed = _shown(found, tmp_path)
    assert f"\n    {labels[0]} ({_values(first)[most]:+.2f}), " in printed


def test_what_is_missing_is_called_so_and_columns_without_names_are_numbered() -> None:
    found = _with_missing(None)
    named = {name: value for name, value, _ in features_of(found.wrong[0])}
    assert list(named) == [f"feature {number}" for number in range(10)]
    assert named["feature 2"] == "missing"
    assert named["feature 0"] == f"{_row(found.wrong[0])[0]:.4g}"


@pytest.mark.parametrize("lengths", [[300] * 4, [300, 250, 280, 300]])
def test_numbers_of_a_recording_are_not_shown_one_by_one(tmp_path: Path, lengths: list[int]) -> None:
    x = [np.linspace(-1, number, length, dtype=np.float32) for number, length in enumerate(lengths)]
    model = keras.Sequential(
        [
            keras.Input((None,)),
            keras.layers.Reshape((-1, 1)),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy")
    data = Dataset(x if len(set(lengths)) > 1 else np.stack(x), np.arange(4) % 2)
    found = _found(model, data, np.arange(4))
    assert _pictures(found).keys() == {"confusion"}
    page, printed = _shown(found, tmp_path)
    said = "What it looks at is not known: a row is 300 numbers without names, too many to show"
    assert said in page
    assert said in printed
    assert not re.search(r"feature|\d = ", printed)


def test_named_columns_are_shown_one_by_one_however_many() -> None:
    x = np.random.default_rng(0).normal(size=(4, 201)).astype(np.float32)
    data = Dataset(x, np.arange(4) % 2, feature_names=[f"gene {number}" for number in range(201)])
    found = _found(_compiled(201, 2, "sparse_categorical_crossentropy"), data, np.arange(4))
    assert _pictures(found).keys() & {"mistakes", "right"}
    assert found.why_no_reasons == ""


def test_a_missing_word_is_called_so_like_a_missing_number(tmp_path: Path) -> None:
    job, age = keras.Input((1,), name="job", dtype="string"), keras.Input((1,), name="age")
    known = keras.layers.StringLookup(vocabulary=["nurse", "clerk"], output_mode="one_hot")(job)
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.Concatenate()([known, Filled()(age)]))
    model = keras.Model({"job": job, "age": age}, outputs)
    model.compile(loss="sparse_categorical_crossentropy")
    frame = pd.DataFrame({"job": ["nurse", None, "clerk", None], "age": [4.0, 5.0, None, None]})
    found = _found(model, Dataset(frame, np.arange(4) % 2, allow_nan=True), np.arange(4))
    cells = {
        one.position: sorted((name, value) for name, value, _ in features_of(one))
        for one in (*found.right, *found.wrong)
    }
    assert cells[1] == [("age", "5"), ("job", "missing")]
    assert cells[2] == [("age", "missing"), ("job", "clerk")]
    assert cells[3] == [("age", "missing"), ("job", "missing")]
    _, printed = _shown(found, tmp_path)
    assert " = (" not in printed


def test_reasons_that_are_lost_beside_a_missing_value_are_said_to_be() -> None:
    class Lossy(keras.layers.Layer):  # type: ignore[misc]  # reason: Keras ships no types
        def call(self, x: Any) -> Any:  # the slope of its logarithm is NaN, whatever is chosen
            return keras.ops.where(keras.ops.isnan(x), keras.ops.zeros_like(x), keras.ops.log(x + x[:, :1]))

    model = keras.Sequential([keras.Input((3,)), Lossy(), keras.layers.Dense(2, activation="softmax")])
    x = np.abs(np.random.default_rng(0).normal(size=(8, 3))).astype(np.float32)
    x[:, 1] = np.nan
    found = _found(model, Dataset(x, np.arange(8) % 2, allow_nan=True), np.arange(8))
    assert "beside a missing value" in found.why_no_reasons
    assert all(one.for_predicted is None for one in (*found.right, *found.wrong))


def test_a_model_that_cannot_be_seen_through_still_has_its_mistakes(tmp_path: Path) -> None:
    texts = np.array(["good film", "bad film", "good", "bad"])
    text = keras.Input((), dtype="string")
    bag = keras.layers.TextVectorization(output_mode="multi_hot", vocabulary=["good", "bad"])(text)
    model = keras.Model(text, keras.layers.Dense(2, activation="softmax")(bag))
    found = _found(model, Dataset(texts, np.array([0, 1, 1, 0])), np.arange(4))
    assert "no Embedding layer" in found.why_no_reasons
    examples = (*found.right, *found.wrong)
    assert sorted(one.inputs[0].words for one in examples) == [("bad",), ("bad", "film"), ("good",), ("good", "film")]
    assert all(one.for_predicted is None for one in examples)
    assert _pictures(found).keys() == {"confusion"}
    page, _ = _shown(found, tmp_path)
    assert '<span class="words">bad film</span>' in page


def test_a_table_is_compared_with_its_mean_row() -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(40, 3)) * [1, 100, 1] + [0, 5000, 0]).astype(np.float32)
    model = _model(3, 3)
    found = _found(model, Dataset(x, rng.integers(0, 3, 40)), np.arange(40))
    example = found.right[0]
    assert example.for_predicted is not None
    weights = model.get_weights()[0][:, int(example.predicted)]
    assert _values(example) == pytest.approx((_row(example) - x.mean(axis=0)) * weights, rel=1e-3, abs=1e-3)


def test_a_record_that_is_torn_is_as_good_as_none(tmp_path: Path) -> None:
    data = Dataset(np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1]))
    found = _found(_model(4, 2, "softmax"), data, np.arange(4))
    explanation = Explanation(Subject("toy", 3, 0.5, "val_accuracy", True, "abc"), (found,), tmp_path / "explanation")
    assert read_record(explanation.folder) is None
    write_record(explanation)
    again = read_record(explanation.folder)
    assert again is not None
    assert again.subject == explanation.subject
    _expect_same(again.findings, (found,))
    record = explanation.folder / "record.npz"
    whole = record.read_bytes()
    for broken in (whole[:-100], _with(whole, 200, bytes(9)), _with(whole, whole.index(b"PK\1\2") + 10, b"\x09")):
        record.write_bytes(broken)
        assert read_record(explanation.folder) is None
    write_record(dataclasses.replace(explanation, findings=()))
    assert read_record(explanation.folder) is None


def _with(content: bytes, at: int, other: bytes) -> bytes:
    return content[:at] + other + content[at + len(other) :]


class OwnCall(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
    """A model that takes no more rows than it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = keras.layers.Dense(2, activation="softmax")

    def call(self, rows: Any) -> Any:
        if rows.shape[0] is not None and rows.shape[0] > 32:
            raise RuntimeError("these are too many rows")
        return self.layer(rows)


def test_a_model_whose_own_code_fails_on_the_path_still_has_its_mistakes(tmp_path: Path) -> None:
    model = OwnCall()
    model.compile(loss="sparse_categorical_crossentropy")
    found = _found(model, Dataset(np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])), np.arange(4))
    assert found.confusion is not None
    assert "cannot be computed: RuntimeError: these are too many rows" in found.why_no_reasons
    page, _ = _shown(found, tmp_path)
    assert "these are too many rows" in page


def _expect_same(left: object, right: object) -> None:
    if dataclasses.is_dataclass(left):
        for field in dataclasses.fields(left):
            _expect_same(getattr(left, field.name), getattr(right, field.name))
    elif isinstance(left, tuple):
        assert isinstance(right, tuple)
        for one, other in zip(left, right, strict=True):
            _expect_same(one, other)
    else:
        assert np.array_equal(left, right), (left, right)  # type: ignore[arg-type]  # reason: numbers and strings, too
        assert type(left) is type(right)


def test_texts_are_printed_with_the_words_that_misled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = keras.Input((), dtype="string")
    tokens = keras.layers.TextVectorization(vocabulary=["good", "film"], output_sequence_length=3)(text)
    summed = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(4, 1, name="vectors")(tokens))
    model = keras.Model(text, keras.layers.Dense(1, activation="sigmoid", name="chance")(summed))
    model.get_layer("vectors").set_weights([np.array([[0.0], [0.0], [3.0], [-1.0]])])
    model.get_layer("chance").set_weights([np.array([[3.0]]), np.array([-0.5])])
    data = Dataset(
        np.array(["Good film!", "film", "a film"]), np.array([0, 0, 0]), name="sentence-polarity", n_classes=2
    )
    explanation = Explanation(
        Subject("toy", 3, 0.5, "val_accuracy", True, "abc"), (_found(model, data, np.arange(3)),), tmp_path
    )
    print_explanation(explanation, [])
    printed = capsys.readouterr().out
    assert "2 of 3 right (66.67%)" in printed
    assert "negative read as positive: 1 of 3 rows" in printed
    assert re.search(r"row 0: negative read as positive \(82%\)\n +good film\n +by good \+0\.\d\d$", printed, re.M)


def test_sequences_are_counted_in_steps_and_not_called_masks(tmp_path: Path) -> None:
    text = keras.Input((), dtype="string")
    tokens = keras.layers.TextVectorization(vocabulary=["good", "film"], output_sequence_length=3)(text)
    model = keras.Model(text, keras.layers.Embedding(4, 2, name="scores")(tokens))
    model.get_layer("scores").set_weights([np.array([[1.0, 0.0]] * 4)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    found = _found(model, Dataset(np.array(["good film", "a film"]), np.array([[0, 1, 0], [0, 1, 1]])), np.arange(2))
    page, printed = _shown(found, tmp_path)
    assert "\n  1 read as 0: 3 of 3 steps\nThe worst sequences:\n" in printed
    assert "<h3>The worst sequences</h3>" in page
    assert "<h3>Typical rows, from the median to the best</h3>" in page
    assert not re.search("pixel|mask|right about|surest", printed + page)


def test_one_hot_targets_are_classes_too() -> None:
    x, labels = np.random.default_rng(0).random((30, 4)).astype(np.float32), np.arange(30) % 3
    model = _model(4, 3, "softmax")
    model.compile("sgd", "categorical_crossentropy")
    found, plain = (_found(model, Dataset(x, y), np.arange(30)) for y in (np.eye(3)[labels], labels))
    assert found.confusion is not None
    assert plain.confusion is not None
    assert found.confusion.tolist() == plain.confusion.tolist()


def _text_and_table() -> tuple[keras.Model, Dataset]:
    """Return a network with random weights that reads a text, a table, a category and a kind, and puts out two."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    words = layers.TextVectorization(vocabulary=["good", "bad", "film"], output_sequence_length=4)
    inputs = {
        "text": keras.Input((), dtype="string", name="text"),
        "table": keras.Input((3,), name="table"),
        "city": keras.Input((), dtype="string", name="city"),
        "kind": keras.Input((2,), dtype="int32", name="kind"),
    }
    parts = [
        layers.GlobalAveragePooling1D()(layers.Embedding(5, 4)(words(inputs["text"]))),
        inputs["table"],
        layers.Embedding(3, 2)(layers.StringLookup(vocabulary=["Rome", "Oslo"])(inputs["city"])),
        keras.ops.cast(inputs["kind"], "float32"),
    ]
    joined = layers.Concatenate()(parts)
    outputs = {
        "liked": layers.Dense(2, activation="softmax", name="liked")(joined),
        "price": layers.Dense(1, name="price")(joined),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        loss={"liked": "sparse_categorical_crossentropy", "price": "mse"},
        metrics={"liked": ["accuracy"], "price": ["mae"]},
    )
    rng = np.random.default_rng(0)
    x = {
        "text": np.array(["good film", "bad film", "a good bad film", "film"] * 5),
        "table": rng.normal(size=(20, 3)).astype(np.float32),
        "city": np.array(["Rome", "Oslo"] * 10),
        "kind": rng.integers(0, 3, (20, 2)).astype(np.int32),
    }
    return model, Dataset(x, {"liked": np.arange(20) % 2, "price": rng.normal(size=20)})


def test_each_input_has_attributions_in_its_own_unit_and_each_output_its_own_findings(tmp_path: Path) -> None:
    model, data = _text_and_table()
    positions = np.arange(20)
    liked, price = (with_reasons(model, data, positions, one) for one in find(model, data, positions))
    assert (liked.output, liked.kind, price.output, price.kind) == ("liked", "classes", "price", "numbers")
    for example in (*liked.wrong, *price.wrong):
        city, kind, table, text = example.inputs
        assert (city.name, kind.name, table.name, text.name) == ("city", "kind", "table", "text")
        assert example.for_predicted is not None
        of_city, of_kind, of_table, of_text = example.for_predicted.values
        assert of_kind is None
        assert [one.shape for one in (of_city, of_table, of_text) if one is not None] == [(), (3,), (len(text.words),)]
        assert np.all([np.any(one) for one in (of_city, of_table, of_text)])
        assert abs(example.for_predicted.gap) < 0.02
    assert price.wrong[0].for_predicted is not None
    assert price.wrong[0].for_predicted.end == pytest.approx(float(price.wrong[0].predicted), abs=1e-4)
    assert liked.why_no_reasons == (
        "of the inputs 'kind' (its input is not used, or cut off by rounding or by a whole-number type)."
    )
    names = {name for name, *_ in features_of(liked.wrong[0], liked.wrong[0].for_predicted)}
    assert names == {"city", "kind 0", "kind 1", "table 0", "table 1", "table 2", "text"}

    page, printed = _shown_all(
        with_metrics([liked, price], {"liked_accuracy": 0.5, "price_mae": 2.0, "loss": 9.0}), tmp_path
    )
    for text in (page, printed):
        assert (
            text.index("Output liked") < text.index("accuracy 0.5") < text.index("Output price") < text.index("mae 2")
        )
        assert "loss 9" not in text
    assert "good</span>" in page
    pictures = [*_pictures(liked), *_pictures(price)]
    assert pictures == ["confusion-liked", "mistakes-liked", "right-liked", "predictions-price", "errors-price"]


def test_rows_of_different_lengths_have_reasons_without_padding() -> None:
    model = keras.Sequential(
        [keras.Input((None,)), keras.layers.Embedding(9, 2), keras.layers.GlobalAveragePooling1D()]
    )
    model.add(keras.layers.Dense(2, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    rows = [np.arange(1, 2 + number % 4) for number in range(20)]
    found = _found(model, Dataset(rows, np.arange(20) % 2), np.arange(20))
    assert found.why_no_reasons == ""
    for example in (*found.right, *found.wrong):
        assert example.inputs[0].words == tuple(map(str, rows[example.position]))
        assert _values(example).shape == rows[example.position].shape
        assert np.all(_values(example) != 0)


def test_frames_of_different_lengths_have_reasons_without_padding() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.Conv1D(2, 1), keras.layers.GlobalAveragePooling1D()])
    model.add(keras.layers.Dense(2, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(2 + number % 4, 3)).astype(np.float32) for number in range(20)]
    found = _found(model, Dataset(rows, np.arange(20) % 2), np.arange(20))
    for example in (*found.right, *found.wrong):
        assert _values(example).shape == rows[example.position].shape
        assert example.for_predicted is not None
        assert abs(example.for_predicted.gap) < 0.02


def test_several_labels_are_explained_by_the_label_that_is_most_wrong(tmp_path: Path) -> None:
    model = _compiled(4, 3, "binary_crossentropy", "sigmoid")
    rng = np.random.default_rng(0)
    data = Dataset(rng.normal(size=(30, 4)).astype(np.float32), rng.integers(0, 2, (30, 3)))
    found = _found(model, data, np.arange(30))
    assert found.confusion is not None
    assert found.confusion[:, :2].sum(axis=1).tolist() == data.y.sum(axis=0).tolist()
    worst = found.wrong[0]
    label = int(np.abs(worst.true - worst.predicted).argmax())
    assert worst.for_predicted is not None
    assert worst.for_predicted.end == pytest.approx(worst.predicted[label], abs=1e-5)
    assert _pictures(found).keys() == {"labels", "mistakes"}
    page, printed = _shown(found, tmp_path)
    assert f"most wrong about label {label}" in printed
    found_rows, missed, false = found.confusion[0]
    line = f"label 0: {found_rows} of {found_rows + missed} rows found, {false} false."
    assert line in printed
    assert line in page


def test_what_cannot_be_compared_still_has_its_metrics(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    (found,) = find(model, Dataset(np.zeros((4, 2), np.float32)), np.arange(4))
    page, printed = _shown_all(with_metrics([found], {"frechet": 1.5}), tmp_path)
    for text in (page, printed):
        assert "frechet 1.5" in text
        assert "There is nothing else to show: the rows have no targets" in text


def test_pictures_of_an_earlier_explanation_do_not_stay(tmp_path: Path) -> None:
    found = _found(_compiled(2, 1, "mse"), Dataset(np.eye(2, dtype=np.float32), np.zeros(2)), np.arange(2))
    (tmp_path / "confusion.png").write_bytes(b"")
    written = write_pictures(Explanation(Subject("toy", 3, 0.5, "val_loss", True, "abc"), (found,), tmp_path))
    assert sorted(tmp_path.glob("*.png")) == sorted(written)
    assert sorted(path.name for path in written) == ["errors.png", "predictions.png"]
