"""Files of a stored study are where it has run here, or where one says: not where its storage says alone."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from autotune.errors import StorageError, UsageError
from autotune.running.study.places import Places
from autotune.running.study.settings import StudySettings
from autotune.running.study.study_files import (
    folder_to_look_at,
    is_known_here,
    leave_elsewhere,
    leave_token,
    places_of_study,
    refuse_elsewhere,
)
from autotune.study import Overrides

TOKEN = "0123abcd"


@pytest.fixture
def settings(tmp_path: Path) -> StudySettings:
    numbers = {"n_trials": 1, "seed": 0, "epochs": 1, "threads": 1}
    return StudySettings(
        study_file=None,
        n_trials_given=False,
        overrides=Overrides(),
        monitor=None,
        epoch_policy="best",
        split=None,
        data_dir=None,
        run_dir=str(tmp_path / "remembered"),
        token=TOKEN,
        **numbers,
    )


@pytest.fixture
def by_url(tmp_path: Path) -> Places:
    """Give the places of a storage that was named by its URL alone."""
    return Places("postgresql://host/db", tmp_path / "runs", None, is_run_dir_given=False)


def test_the_run_dir_that_a_study_has_run_in_is_gone_to(settings: StudySettings, by_url: Places) -> None:
    folder = Path(settings.run_dir) / "toy"
    leave_token(folder, TOKEN)
    leave_token(folder, TOKEN)
    assert (folder / "tokens.txt").read_text() == f"{TOKEN}\n"
    assert folder_to_look_at("toy", settings, by_url) == folder_to_look_at("toy", settings) == folder
    assert places_of_study("toy", settings, by_url) == dataclasses.replace(by_url, run_dir=folder.parent)


def test_another_one_is_named_and_has_to_be_given(settings: StudySettings, by_url: Places) -> None:
    (Path(settings.run_dir) / "toy").mkdir(parents=True)
    assert folder_to_look_at("toy", settings, by_url) is folder_to_look_at("toy", settings) is None
    with pytest.raises(UsageError, match=rf"{settings.run_dir}[\s\S]*--run-dir"):
        places_of_study("toy", settings, by_url)


@pytest.mark.parametrize("token", ["", "ffffffff"])
def test_the_token_of_another_study_does_not_count(settings: StudySettings, by_url: Places, token: str) -> None:
    leave_token(Path(settings.run_dir) / "toy", "another")
    assert folder_to_look_at("toy", dataclasses.replace(settings, token=token), by_url) is None


def test_two_studies_of_one_name_may_share_a_run_dir(tmp_path: Path) -> None:
    for token in ("one", "two"):
        leave_token(tmp_path, token)
    assert [is_known_here(tmp_path, token) for token in ("one", "two", "three", "")] == [True, True, False, False]


def test_a_run_dir_that_is_given_is_taken_wherever_the_study_remembers_to_be(
    settings: StudySettings, tmp_path: Path
) -> None:
    given = Places("postgresql://host/db", tmp_path / "given", None)
    assert places_of_study("toy", settings, given) == given
    assert folder_to_look_at("toy", settings, given) == tmp_path / "given" / "toy"


def test_the_run_dir_in_use_needs_no_token(settings: StudySettings, by_url: Places) -> None:
    here = dataclasses.replace(settings, run_dir=str(by_url.run_dir))
    assert places_of_study("toy", here, by_url) == by_url


@pytest.mark.parametrize("linked", ["toy", "toy/tokens.txt"])
def test_links_are_not_followed(settings: StudySettings, by_url: Places, tmp_path: Path, linked: str) -> None:
    leave_token(tmp_path / "outside", TOKEN)
    place = Path(settings.run_dir) / linked
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "outside" if linked == "toy" else tmp_path / "outside" / "tokens.txt")
    with pytest.raises(UsageError):
        places_of_study("toy", settings, by_url)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files to others")
@pytest.mark.parametrize("given_away", ["toy", "toy/tokens.txt"])
def test_what_is_another_users_does_not_count(settings: StudySettings, by_url: Places, given_away: str) -> None:
    leave_token(Path(settings.run_dir) / "toy", TOKEN)
    os.chown(Path(settings.run_dir) / given_away, 12345, 12345)
    assert folder_to_look_at("toy", settings, by_url) is None


@pytest.mark.parametrize("setting", ["tensorboard", "artifacts", "mlflow"])
def test_a_folder_elsewhere_is_written_to_only_if_it_was_given_here(
    settings: StudySettings, tmp_path: Path, setting: str
) -> None:
    elsewhere = f"sqlite:///{tmp_path}/of mlflow.db" if setting == "mlflow" else str(tmp_path / "of another")
    folder, unsaid = tmp_path / "runs" / "toy", {"tensorboard": None, "artifacts": None, "mlflow": None}
    settings = dataclasses.replace(settings, **{setting: elsewhere})
    with pytest.raises(UsageError, match="which was never given here") as caught:
        refuse_elsewhere("toy", folder, settings, unsaid)
    assert f"--{setting} none" in caught.value.fix
    refuse_elsewhere("toy", folder, settings, {**unsaid, setting: elsewhere})
    leave_elsewhere(folder, settings, {**unsaid, setting: elsewhere})
    refuse_elsewhere("toy", folder, settings, unsaid)


HARMLESS = {
    "tensorboard": ["run-dir", None, "{}/inside"],
    "artifacts": ["s3://bucket/prefix", "gs://bucket", None, "{}/inside"],
    "mlflow": ["sqlite:///{}/inside.db", None],
}
ELSEWHERE = {
    "tensorboard": ["../up", "run-dir/..", "s3://bucket", TOKEN],
    "artifacts": ["run-dir", "file:///etc", "../up", TOKEN],
    "mlflow": ["http://host:5000", "file:///etc", "file:/etc", "mlruns", "run-dir", "sqlite:///up.db", TOKEN],
}


@pytest.mark.parametrize("setting", HARMLESS)
def test_no_way_of_writing_a_place_leads_out_of_the_folder(
    settings: StudySettings, tmp_path: Path, setting: str
) -> None:
    folder = tmp_path / "runs" / "toy"
    leave_token(folder, TOKEN)
    for place in HARMLESS[setting]:
        harmless = dataclasses.replace(settings, **{setting: place and place.format(folder)})
        refuse_elsewhere("toy", folder, harmless, {setting: None})
    for place in [*ELSEWHERE[setting], f"{folder}/../../out", f"sqlite:///{folder}/../../out.db"]:
        with pytest.raises(UsageError, match="which was never given here"):
            refuse_elsewhere("toy", folder, dataclasses.replace(settings, **{setting: place}), {setting: None})


def test_a_pipe_is_not_waited_for(settings: StudySettings, by_url: Places) -> None:
    folder = Path(settings.run_dir) / "toy"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "tokens.txt")
    assert folder_to_look_at("toy", settings, by_url) is None
    with pytest.raises(StorageError, match=r"tokens\.txt is no file"):
        leave_token(folder, TOKEN)
