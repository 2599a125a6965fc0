"""Where records and files are: an argument, else the environment, else the default."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autotune.errors import DataError, StorageError
from autotune.running.study.places import Places, find_places, make_writable


def test_the_defaults_are_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    places = find_places(environment={})
    assert places == Places(f"sqlite:///{tmp_path}/runs/autotune.db", tmp_path / "runs", None)
    assert places.study_folder("toy") == tmp_path / "runs" / "toy"


def test_the_environment_comes_before_the_defaults(tmp_path: Path) -> None:
    environment = {
        "OPTUNA_STORAGE": "postgresql://host/db",
        "AUTOTUNE_RUN_DIR": str(tmp_path / "elsewhere"),
        "AUTOTUNE_DATA": str(tmp_path),
    }
    assert find_places(environment=environment) == Places("postgresql://host/db", tmp_path / "elsewhere", tmp_path)


def test_arguments_come_before_the_environment(tmp_path: Path) -> None:
    environment = {"OPTUNA_STORAGE": "postgresql://host/db", "AUTOTUNE_RUN_DIR": "/no", "AUTOTUNE_DATA": "/no"}
    places = find_places("sqlite:///x.db", tmp_path / "runs", tmp_path, environment)
    assert places == Places("sqlite:///x.db", tmp_path / "runs", tmp_path)


def test_the_default_storage_is_in_the_run_dir_that_is_given(tmp_path: Path) -> None:
    assert find_places(run_dir=tmp_path, environment={}).storage == f"sqlite:///{tmp_path}/autotune.db"


@pytest.mark.parametrize("variable", ["OPTUNA_STORAGE", "AUTOTUNE_RUN_DIR", "AUTOTUNE_DATA"])
def test_an_empty_variable_is_one_that_is_not_set(variable: str) -> None:
    assert find_places(environment={variable: ""}) == find_places(environment={})


def test_relative_folders_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    places = find_places(run_dir="here", data_dir="data", environment={})
    assert (places.run_dir, places.data_dir) == (tmp_path / "here", tmp_path / "data")


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_data_dir_that_is_no_folder_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=rf"{tmp_path / kind} is not a folder[\s\S]*--data-dir or AUTOTUNE_DATA"):
        find_places(environment={"AUTOTUNE_DATA": str(tmp_path / kind)})


def test_a_shown_storage_has_no_password(tmp_path: Path) -> None:
    places = Places("postgresql://u:secret@host/db", tmp_path, None)
    assert places.shown_storage() == "postgresql://u:***@host/db"


def test_a_run_dir_is_created_and_left_empty(tmp_path: Path) -> None:
    make_writable(tmp_path / "a" / "b")
    make_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_run_dir_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be written[\s\S]*--run-dir or AUTOTUNE_RUN_DIR"):
        make_writable(tmp_path / "file" / "runs")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_run_dir_without_write_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied"):
        make_writable(tmp_path)
    tmp_path.chmod(0o700)
