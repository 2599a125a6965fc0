"""Trials that a study file begins with."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

import autotune
from autotune.errors import StudyFileError, UsageError
from autotune.running.tracking.events import Event, Note

TOY = """
from autotune import StudySpec

def objective(trial):
    return trial.suggest_float("x", 0.0, 1.0) + trial.suggest_float("y", 0.0, 1.0)

study = StudySpec(name="toy", objective=objective, direction="minimize", n_trials=5, seed=0, enqueue={enqueue})
"""

DIGITS = """
import keras
from autotune import StudySpec, models

def build(trial, data):
    return models.build_cnn(data, blocks=trial.suggest_int("blocks", 1, 2))

study = StudySpec(name="toy", dataset="digits", build=build, monitor="val_accuracy", direction="maximize",
                  n_trials=1, epochs=1, enqueue=[{{"blocks": 7}}])
"""

SPACES = """
import keras
from autotune import StudySpec, spaces

def build(trial, data):
    layers = [keras.Input(data.input_shape), keras.layers.Flatten(), keras.layers.Dropout(spaces.dropout(trial))]
    model = keras.Sequential([*layers, keras.layers.Dense(data.n_classes, activation="softmax")])
    model.compile(spaces.optimizer(trial), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def fit(trial):
    return {{"batch_size": spaces.batch_size(trial), "callbacks": spaces.schedule(trial, 1)}}

study = StudySpec(name="toy", dataset="digits", build=build, fit=fit, monitor="val_accuracy", direction="maximize",
                  n_trials=3, epochs=1, enqueue={enqueue})
"""


def study_file(tmp_path: Path, text: str, enqueue: str) -> Path:
    path = tmp_path / "study.py"
    path.write_text(text.format(enqueue=enqueue))
    return path


def test_a_new_study_begins_with_them_once(tmp_path: Path) -> None:
    file = study_file(tmp_path, TOY, '[{"x": 0.25, "y": 0.5}, {"x": 0.75}]')
    autotune.run(file, n_trials=3, workers=1, run_dir=tmp_path / "runs")
    study = autotune.run(file, n_trials=5, workers=1, run_dir=tmp_path / "runs")
    assert study.trials[0].params == {"x": 0.25, "y": 0.5}
    assert study.trials[1].params["x"] == 0.75
    assert [trial.params["x"] for trial in study.trials].count(0.25) == 1
    assert len(study.trials) == 5


def test_a_guess_is_tried_after_what_is_enqueued_and_once(tmp_path: Path) -> None:
    given = '[{"x": 0.75}], guess=[{"x": 0.25, "y": 0.5}, {"y": 0.125}]'
    file = study_file(tmp_path, TOY, given)
    autotune.run(file, n_trials=3, workers=1, run_dir=tmp_path / "runs")
    study = autotune.run(file, n_trials=5, workers=1, run_dir=tmp_path / "runs")
    assert study.trials[0].params["x"] == 0.75
    assert study.trials[1].params == {"x": 0.25, "y": 0.5}
    assert study.trials[2].params["y"] == 0.125
    assert [trial.user_attrs.get("guess") for trial in study.trials].count(None) == 3


def test_what_is_no_list_of_dicts_is_told(tmp_path: Path) -> None:
    for given in ('{"x": 1}', '[], guess="x"', "[], guess=[{}]"):
        with pytest.raises(StudyFileError, match=r"no list of (such )?dicts"):
            autotune.run(study_file(tmp_path, TOY, given), run_dir=tmp_path / "runs")


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    given = '[{"x": __import__("numpy").float32(0.25)}], baseline={"x": __import__("numpy").float64(0.5), "y": 0}'
    study = autotune.run(study_file(tmp_path, TOY, given), n_trials=1, workers=1, run_dir=tmp_path / "runs")
    assert study.trials[0].params["x"] == 0.25


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            '[{"x": 0.5}, {"x": {1, 2}}]',
            r"enqueue\[1\] gives 'x' a value that no search space can have: {1, 2}",
        ),
        ('[{"y": 0.5}, {"x": 99}, {"x": "a"}]', r"enqueue\[2\]: x='a' is not a float from 0 to 1"),
        ('[{"x": 99}]', r"enqueue\[0\]: x=99 is not a float from 0 to 1"),
        ('[], guess={"x": 99}', r"guess\[0\]: x=99 is not a float from 0 to 1"),
        ('[], guess=[{"y": 0.5}, {"x": "a"}]', r"guess\[1\]: x='a' is not a float from 0 to 1"),
        ('[], baseline={"y": "a"}', r"baseline: y='a' is not a float from 0 to 1"),
    ],
)
def test_what_does_not_fit_ends_the_run_at_its_beginning_and_leaves_no_study(
    tmp_path: Path, given: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        autotune.run(study_file(tmp_path, TOY, given), workers=1, run_dir=tmp_path / "runs")
    assert optuna.get_all_study_names(f"sqlite:///{tmp_path}/runs/autotune.db") == []
    corrected = study_file(tmp_path, TOY, '[{"x": 0.5}]')
    study = autotune.run(corrected, n_trials=1, workers=1, run_dir=tmp_path / "runs")
    assert [t.params["x"] for t in study.trials] == [0.5]


def test_later_ones_fail_alone_and_misspelt_ones_are_told(tmp_path: Path) -> None:
    events: list[Event] = []
    file = study_file(tmp_path, TOY, '[{"xx": 0.5}, {"y": -1}]')
    study = autotune.run(file, n_trials=2, workers=1, run_dir=tmp_path / "runs", observer=events.append)
    said = [(event.number, event.text) for event in events if isinstance(event, Note)]
    outside = "enqueue[1]: y=-1 is not a float from 0 to 1"
    assert said == [
        (0, f"{outside}, which this trial asks for"),
        (0, "enqueue[0] gives 'xx'; this trial asked for 'x', 'y'"),
        (1, f"{outside}, and the trial has failed"),
    ]
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert outside in study.trials[1].user_attrs["failure_message"]


@pytest.mark.trains
def test_what_lies_outside_of_the_space_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"enqueue\[0\]: blocks=7 is not an integer from 1 to 2"):
        autotune.run(study_file(tmp_path, DIGITS, ""), run_dir=tmp_path / "runs")


@pytest.mark.trains
def test_a_study_begins_with_the_usual_values_of_spaces_and_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    file = study_file(tmp_path, SPACES, "[]")
    whole = autotune.run(file, workers=1, run_dir=tmp_path / "whole")
    autotune.run(file, n_trials=1, workers=1, run_dir=tmp_path / "runs")
    parts = autotune.run(file, n_trials=3, workers=1, run_dir=tmp_path / "runs")
    adam = {"adam_learning_rate": 1e-3, "adam_one_minus_beta_1": 0.1, "adam_one_minus_beta_2": 1e-3}
    others = {"adam_epsilon": 1e-7, "adam_amsgrad": False, "schedule": "cosine", "cosine_warmup": 0.05}
    assert whole.trials[0].params == {"dropout": 0.2, "optimizer": "adam", **adam, **others, "batch_size": 32}
    assert [(trial.params, trial.value) for trial in parts.trials] == [
        (trial.params, trial.value) for trial in whole.trials
    ]
    assert [len(trial.user_attrs.get("guess", ())) for trial in parts.trials] == [31, 0, 0]
