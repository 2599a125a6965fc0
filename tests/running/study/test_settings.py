"""What a study remembers, and what may not change while it goes on."""

from __future__ import annotations

import dataclasses
from typing import Any

import optuna
import pytest

from autotune.errors import StoredStudyError, StudyChangedError
from autotune.running.study.settings import StudySettings, read_settings, refuse_changes, write_settings
from autotune.study import Overrides

SETTINGS = StudySettings(
    study_file="/home/u/study.py",
    study_digest="abc",
    n_trials=50,
    n_trials_given=True,
    overrides=Overrides(epochs=3, seed=1),
    seed=1,
    epochs=3,
    monitor="val_accuracy",
    epoch_policy="best",
    split="0123abcd",
    threads=2,
    data_dir="/data",
    run_dir="/home/u/runs",
)


def test_what_is_written_is_read_again(storage: optuna.storages.BaseStorage) -> None:
    study = optuna.create_study(storage=storage, study_name="toy")
    assert read_settings(study) is None
    write_settings(study, SETTINGS)
    assert read_settings(optuna.load_study(study_name="toy", storage=storage)) == SETTINGS


def test_new_settings_replace_those_before(storage: optuna.storages.BaseStorage) -> None:
    study = optuna.create_study(storage=storage)
    write_settings(study, SETTINGS)
    write_settings(study, dataclasses.replace(SETTINGS, n_trials=60))
    read = read_settings(study)
    assert read is not None
    assert read.n_trials == 60


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"seed": 2}, "the seed: was 1, is now 2"),
        ({"epochs": 9}, "the number of epochs: was 3, is now 9"),
        ({"monitor": "val_loss"}, "the monitored metric: was 'val_accuracy', is now 'val_loss'"),
        ({"epoch_policy": "last"}, "the epoch policy: was 'best', is now 'last'"),
        ({"train_fraction": 0.5}, "the fraction of the training rows: was 1.0, is now 0.5"),
        ({"epochs_per_pass": 5}, "the number of epochs of a pass: was 1, is now 5"),
        ({"split": "ffff"}, "the data or their split changed"),
    ],
)
def test_what_a_value_means_may_not_change(change: dict[str, Any], line: str) -> None:
    with pytest.raises(StudyChangedError) as caught:
        refuse_changes("toy", SETTINGS, dataclasses.replace(SETTINGS, **change), [])
    happened, what, fix = str(caught.value).splitlines()
    assert "'toy'" in happened
    assert what.strip() == line
    assert "--name" in fix


def test_every_change_has_its_line() -> None:
    now = dataclasses.replace(SETTINGS, seed=2, epochs=9)
    with pytest.raises(StudyChangedError) as caught:
        refuse_changes("toy", SETTINGS, now, ["x: is new, an integer from 1 to 2"])
    assert caught.value.expected.splitlines() == [
        "x: is new, an integer from 1 to 2",
        "the seed: was 1, is now 2",
        "the number of epochs: was 3, is now 9",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"n_trials": 60, "n_trials_given": False},
        {"threads": 4},
        {"study_file": "/moved/study.py"},
        {"data_dir": None},
        {"run_dir": "/moved"},
        {"overrides": Overrides()},
    ],
)
def test_what_leaves_values_comparable_may_change(change: dict[str, Any]) -> None:
    refuse_changes("toy", SETTINGS, dataclasses.replace(SETTINGS, **change), [])


def test_settings_of_a_later_version_are_read_as_far_as_they_are_known() -> None:
    study = optuna.create_study()
    write_settings(study, SETTINGS)
    stored = study.user_attrs["autotune"]
    study.set_user_attr("autotune", {**stored, "of_tomorrow": 1})
    assert read_settings(study) == SETTINGS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_trials": "50"}, "n_trials is '50', and not int"),
        ({"n_trials": -1}, "n_trials is -1"),
        ({"threads": 0}, "threads is 0"),
        ({"run_dir": "runs"}, "the run_dir 'runs' is not absolute"),
        ({"run_dir": None}, "run_dir is None, and not str"),
        ({"study_file": "study.py"}, "the study_file 'study.py' is not absolute"),
        ({"study_file": "/a\0b"}, "study_file is '/a"),
        ({"token": "../.."}, "the token is '../..'"),
        ({"part_of": "../.."}, "part_of is '../..', which cannot name a study"),
        ({"overrides": {"name": "a/b"}}, "overrides.name is 'a/b'"),
        ({"overrides": ["a"]}, "overrides is a list, and no record"),
        ({"minimize": "parameters"}, "minimize is 'parameters'"),
        ({"epochs": 10**30}, "epochs is 1000000"),
    ],
)
def test_settings_that_no_run_would_write_are_not_understood(change: dict[str, Any], words: str) -> None:
    study = optuna.create_study(study_name="toy")
    write_settings(study, SETTINGS)
    study.set_user_attr("autotune", {**study.user_attrs["autotune"], **change})
    with pytest.raises(StoredStudyError, match=r"the study 'toy' cannot be understood") as caught:
        read_settings(study)
    assert words in caught.value.happened


@pytest.mark.parametrize("stored", [7, "", [], {}, {"study_file": "/study.py"}])
def test_what_is_no_record_of_settings_is_not_understood(stored: object) -> None:
    study = optuna.create_study()
    study.set_user_attr("autotune", stored)
    with pytest.raises(StoredStudyError, match="its record of settings"):
        read_settings(study)
