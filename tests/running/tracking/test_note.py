"""The note of a study: what it says, and that a person's own words are left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna_dashboard import get_note, save_note

import autotune
from autotune.running.planning.stored_study import find_study
from autotune.running.study.settings import read_settings
from autotune.running.tracking.note import note_text, write_note

StudyFile = Callable[..., Path]


def with_space(study: optuna.Study, n_parameters: int = 1) -> None:
    trial = study.ask()
    for number in range(n_parameters):
        trial.suggest_float(f"x{number}", 1e-4, 1.0, log=True)
    study.tell(trial, 0.0)


@pytest.fixture
def study(storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(study_name="a study", storage=storage)


def test_a_run_leaves_a_note_with_question_space_data_and_commands(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            kind = trial.suggest_categorical("kind", ["a|b", "c"])
            return trial.suggest_int("n", 1, 9) if kind == "c" or trial.number < 2 else 0.0
    """
    file = study_file(code, "'sampler': lambda seed: optuna.samplers.RandomSampler(seed)")
    file.write_text('"""Is a larger n better?"""' + file.read_text())
    study = autotune.run(file, run_dir=run_dir, workers=1)
    note = get_note(study)
    assert note.startswith("Is a larger n better?")
    assert "| kind | one of 'a\\|b', 'c' |  |" in note
    assert "| n | an integer from 1 to 9 |" in note
    assert "- Go on: `autotune resume toy`" in note
    settings = read_settings(study)
    assert settings is not None
    assert settings.question == "Is a larger n better?"


@pytest.mark.trains
def test_the_note_of_a_keras_study_says_what_it_trains_on(tmp_path: Path, run_dir: Path) -> None:
    file = tmp_path / "study.py"
    file.write_text(
        "import keras\nfrom autotune import Holdout, StudySpec\n"
        "def build(trial, data):\n"
        "    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(),\n"
        "        keras.layers.Dense(10, activation='softmax')])\n"
        "    model.compile(loss='sparse_categorical_crossentropy', metrics=['accuracy'])\n"
        "    return model\n"
        "study = StudySpec(name='toy', dataset='digits', folds=Holdout(0.25), build=build, monitor='val_accuracy',\n"
        "    direction='maximize', epochs=1, n_trials=1)\n"
    )
    study = autotune.run(file, run_dir=run_dir, workers=1)
    assert "**Data** digits: 1,442 development rows of shape (8, 8, 1), 10 classes; Holdout(fraction=0.25)" in get_note(
        study
    )


def test_ranges_of_some_trials_only_are_marked(study: optuna.Study) -> None:
    with_space(study, 2)
    with_space(study, 1)
    assert "| x0 | a float from 0.0001 to 1 (log) |  |" in note_text(study, [])
    assert "| x1 | a float from 0.0001 to 1 (log) | of some trials |" in note_text(study, [])


def test_advice_is_a_line_each_and_stays_until_there_is_other_advice(study: optuna.Study) -> None:
    write_note(study, ["widen x0", "fix y"])
    with_space(study)
    write_note(study)
    assert get_note(study).endswith("**Advice**\n\n- widen x0\n- fix y")
    assert "x0" in get_note(study)
    write_note(study, [])
    assert "Advice" not in get_note(study)


def test_a_note_that_a_person_has_edited_is_left_alone(study: optuna.Study) -> None:
    write_note(study)
    save_note(study, "My own words.")
    write_note(study, ["widen x0"])
    assert get_note(study) == "My own words."
    save_note(study, "")  # this is what somebody wanted, too
    write_note(study)
    assert get_note(study) == ""


def test_a_note_that_was_there_before_the_first_run_is_left_alone(study: optuna.Study) -> None:
    save_note(study, "Written by hand.")
    write_note(study)
    assert get_note(study) == "Written by hand."


def test_a_note_that_says_the_same_is_not_written_again(study: optuna.Study) -> None:
    with_space(study)
    write_note(study)
    before = study._storage.get_study_system_attrs(study._study_id)
    write_note(study)
    assert study._storage.get_study_system_attrs(study._study_id) == before


def test_a_long_note_and_a_shorter_one_after_it_are_whole(study: optuna.Study) -> None:
    with_space(study, 60)
    write_note(study, ["x" * 3000])
    assert "20 more" in get_note(study)
    assert get_note(study) == note_text(study, ["x" * 3000])
    write_note(study, [])
    assert get_note(study) == note_text(study, [])


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_tables_of_a_study_with_one_objective_keep_optunas_columns(
    study_file: StudyFile, run_dir: Path, direction: str
) -> None:
    code = "def objective(trial): return trial.suggest_float('x', 0, 1)"
    study = autotune.run(study_file(code, f"'direction': {direction!r}"), run_dir=run_dir, workers=1)
    assert study._storage.get_study_system_attrs(study._study_id)["dashboard:objective_names"] == ["value"]
    assert find_study(study._storage, "toy") is not None
    assert study.metric_names is None
