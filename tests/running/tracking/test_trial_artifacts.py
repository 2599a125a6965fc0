"""What trials leave in an artifact store: Optuna finds it, nothing fails by it, and it is read back."""

from __future__ import annotations

import errno
import io
import json
import os
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import optuna
import pytest
from optuna.artifacts import FileSystemArtifactStore, download_artifact, get_all_artifact_meta
from optuna.artifacts.exceptions import ArtifactNotFound

from autotune.errors import DiskFullError
from autotune.running.study.settings import StudySettings, write_settings
from autotune.running.study.study_files import leave_elsewhere, leave_token
from autotune.running.tracking.events import Event, Note
from autotune.running.tracking.trial_artifacts import (
    TrialArtifacts,
    artifact_store,
    leave_log,
    read_artifacts,
    read_history,
)
from autotune.search.history import COPY_OF
from autotune.study import Overrides
from autotune.training.checkpoints.artifacts import ArtifactStore
from autotune.training.checkpoints.folder import TrialFolder, trial_folder

HISTORY = [{"loss": [2.0, 1.0], "val_loss": [2.5, 1.5]}]


def settings_of(run_dir: Path, artifacts: str | None = None) -> StudySettings:
    numbers = {"seed": 0, "epochs": 2, "n_trials": 3, "threads": 1}
    return StudySettings(
        study_file=None,
        n_trials_given=False,
        overrides=Overrides(),
        monitor="val_loss",
        epoch_policy="best",
        split=None,
        data_dir=None,
        run_dir=str(run_dir),
        artifacts=artifacts,
        token="token",
        **numbers,
    )


@pytest.fixture
def study(storage: optuna.storages.BaseStorage, run_dir: Path) -> optuna.Study:
    study = optuna.create_study(study_name="toy", storage=storage)
    write_settings(study, settings_of(run_dir))
    leave_token(run_dir / "toy", "token")
    return study


@pytest.fixture
def store(run_dir: Path) -> ArtifactStore:
    return artifact_store(run_dir / "toy", settings_of(run_dir))


def left(run_dir: Path, number: int = 0) -> TrialFolder:
    """Return the folder of a trial that has left its history and a picture."""
    folder = trial_folder(run_dir / "toy", number)
    folder.shown.mkdir(parents=True)
    (folder.shown / "history.json").write_text(json.dumps(HISTORY))
    (folder.shown / "curves.png").write_bytes(b"\x89PNG")
    return folder


@dataclass
class Broken:
    """An artifact store that cannot be written."""

    error: OSError

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        raise self.error

    def open_reader(self, artifact_id: str) -> BinaryIO:
        raise self.error

    def remove(self, artifact_id: str) -> None:
        raise self.error


def test_optuna_itself_finds_what_a_trial_has_left(
    study: optuna.Study, store: ArtifactStore, run_dir: Path, tmp_path: Path
) -> None:
    trial, folder = study.ask(), left(run_dir)
    TrialArtifacts(store, print).leave(trial, folder)
    study.tell(trial, 1.0)
    metas = {meta.filename: meta for meta in get_all_artifact_meta(study.trials[0], storage=study._storage)}
    assert {name: meta.mimetype for name, meta in metas.items()} == {
        "curves.png": "image/png",
        "history.json": "application/json",
    }
    store = FileSystemArtifactStore(run_dir / "toy" / "artifacts")
    copy = tmp_path / "copy.png"
    download_artifact(artifact_store=store, artifact_id=metas["curves.png"].artifact_id, file_path=str(copy))
    assert copy.read_bytes() == b"\x89PNG"
    assert not folder.shown.exists()


def test_the_history_is_read_back_for_a_copy_of_the_trial_too(
    study: optuna.Study, store: ArtifactStore, run_dir: Path
) -> None:
    trial = study.ask()
    TrialArtifacts(store, print).leave(trial, left(run_dir))
    study.tell(trial, 1.0)
    copy = study.ask()
    copy.set_user_attr(COPY_OF, 0)
    study.tell(copy, 1.0)
    study.tell(study.ask(), 1.0)
    assert [read_history(study, trial) for trial in study.trials] == [HISTORY, HISTORY, None]


def test_it_may_be_read_where_the_run_dir_has_been_moved_to(
    study: optuna.Study, store: ArtifactStore, run_dir: Path, tmp_path: Path
) -> None:
    trial = study.ask()
    TrialArtifacts(store, print).leave(trial, left(run_dir))
    study.tell(trial, 1.0)
    run_dir.rename(tmp_path / "moved")
    assert read_history(study, study.trials[0]) is None
    assert read_history(study, study.trials[0], tmp_path / "moved" / "toy") == HISTORY


def test_a_store_elsewhere_is_looked_into_where_it_was_given_and_no_endless_file_is_read(
    study: optuna.Study, run_dir: Path, tmp_path: Path
) -> None:
    settings = settings_of(run_dir, str(tmp_path / "store"))
    write_settings(study, settings)
    trial = study.ask()
    TrialArtifacts(artifact_store(run_dir / "toy", settings), print).leave(trial, left(run_dir))
    study.tell(trial, 1.0)
    assert read_history(study, study.trials[0]) is None  # only the storage says that it is there
    leave_elsewhere(run_dir / "toy", settings, {"artifacts": settings.artifacts})
    assert read_history(study, study.trials[0]) == HISTORY
    for file in (tmp_path / "store" / "toy" / "token" / "artifacts").iterdir():
        os.truncate(file, 2**40)
    assert read_history(study, study.trials[0]) is None


def test_a_trial_that_ends_twice_leaves_the_later_files_once(
    study: optuna.Study, store: ArtifactStore, run_dir: Path
) -> None:
    trial, artifacts = study.ask(), TrialArtifacts(store, print)
    artifacts.leave(trial, left(run_dir))
    again = left(run_dir)
    (again.shown / "curves.png").write_bytes(b"later")
    artifacts.leave(trial, again)
    assert len(get_all_artifact_meta(trial)) == 2
    assert b"later" in {path.read_bytes() for path in (run_dir / "toy" / "artifacts").iterdir()}


def test_a_store_that_is_away_is_told_once_and_costs_no_trial(study: optuna.Study, run_dir: Path) -> None:
    told: list[Event] = []
    artifacts = TrialArtifacts(Broken(OSError(errno.ENETUNREACH, "Network is unreachable")), told.append)
    for number in range(2):
        trial = study.ask()
        artifacts.leave(trial, left(run_dir, number))
        assert get_all_artifact_meta(trial) == []  # no note of a file that is not there
        study.tell(trial, 1.0)
    text = "curves and logs cannot be put into the artifact store (Network is unreachable); they stay in the trials' "
    assert told == [Note(None, text + "folders")]
    assert [read_history(study, trial) for trial in study.trials] == [HISTORY, HISTORY]


def test_a_full_disk_is_one_here_too(study: optuna.Study, run_dir: Path) -> None:
    artifacts = TrialArtifacts(Broken(OSError(errno.ENOSPC, "No space left on device")), print)
    with pytest.raises(DiskFullError):
        artifacts.leave(study.ask(), left(run_dir))


def test_a_trial_that_leaves_nothing_costs_the_storage_nothing(
    study: optuna.Study, store: ArtifactStore, run_dir: Path
) -> None:
    trial = study.ask()
    TrialArtifacts(store, print).leave(trial, trial_folder(run_dir / "toy", 0))
    assert get_all_artifact_meta(trial) == []
    assert [path.name for path in (run_dir / "toy").iterdir()] == ["tokens.txt"]


def test_the_end_of_a_log_is_left(run_dir: Path) -> None:
    folder = trial_folder(run_dir / "toy", 0)
    folder.path.mkdir(parents=True)
    folder.log.write_bytes(b"x" * 300_000 + b"the end")
    leave_log(folder)
    end = (folder.shown / "log.txt").read_bytes()
    assert len(end) == 256 * 1024
    assert end.endswith(b"x" + b"the end")
    assert folder.log.stat().st_size == 300_007


def test_studies_of_one_name_and_two_storages_share_a_store(tmp_path: Path) -> None:
    shared = str(tmp_path / "shared")
    for token in ("a", "b"):
        settings = replace(settings_of(tmp_path, shared), token=token)
        artifact_store(tmp_path / "toy", settings).write("0123", io.BytesIO(token.encode()))
    assert (tmp_path / "shared" / "toy" / "a" / "artifacts" / "0123").read_bytes() == b"a"
    assert not (tmp_path / "toy").exists()


def test_a_study_that_began_without_a_store_finds_what_it_has_left(tmp_path: Path) -> None:
    artifact_store(tmp_path / "toy", settings_of(tmp_path)).write("0123", io.BytesIO(b"before"))
    now = artifact_store(tmp_path / "toy", settings_of(tmp_path, str(tmp_path / "shared")))
    now.write("4567", io.BytesIO(b"later"))
    for name, content in {"0123": b"before", "4567": b"later"}.items():
        with closing(now.open_reader(name)) as file:
            assert file.read() == content
        now.remove(name)
        with pytest.raises(ArtifactNotFound):
            now.open_reader(name)


@pytest.mark.parametrize(
    "meta",
    [
        {"artifact_id": "../../../canary", "filename": "history.json"},
        {"artifact_id": "/etc/passwd", "filename": "history.json"},
        {"artifact_id": "", "filename": "history.json"},
        {"artifact_id": 7, "filename": "history.json"},
        {"artifact_id": "abc", "filename": "../../history.json"},
        {"artifact_id": "abc", "filename": ".bashrc"},
        {"artifact_id": "abc"},
        ["abc", "history.json"],
    ],
)
def test_a_note_of_an_artifact_that_is_none_is_passed_over(
    study: optuna.Study, store: ArtifactStore, run_dir: Path, tmp_path: Path, meta: object
) -> None:
    (tmp_path / "canary").write_text(json.dumps(HISTORY))
    trial = study.ask()
    study._storage.set_trial_system_attr(trial._trial_id, "artifacts:abc", json.dumps(meta))
    study.tell(trial, 1.0)
    assert read_history(study, study.trials[0]) is None
    assert list(read_artifacts(store, study.trials[0])) == []


@pytest.mark.parametrize("noted", ["{", "[" * 100_000, 7, None, {"filename": "history.json"}])
def test_a_note_that_cannot_be_read_is_passed_over(study: optuna.Study, noted: object) -> None:
    trial = study.ask()
    study._storage.set_trial_system_attr(trial._trial_id, "artifacts:abc", noted)
    study.tell(trial, 1.0)
    assert read_history(study, study.trials[0]) is None


@pytest.mark.parametrize("content", ["{", "7", '[{"loss": "high"}]', '{"loss": [1.0]}', "[" * 100_000])
def test_a_history_that_is_none_is_passed_over(
    study: optuna.Study, store: ArtifactStore, run_dir: Path, content: str
) -> None:
    trial, folder = study.ask(), left(run_dir)
    (folder.shown / "history.json").write_text(content)
    TrialArtifacts(store, print).leave(trial, folder)
    study.tell(trial, 1.0)
    assert read_history(study, study.trials[0]) is None


@pytest.mark.parametrize("copy_of", [10**6, -1, "0", [0], 1.5])
def test_a_copy_of_no_trial_is_itself(study: optuna.Study, copy_of: object) -> None:
    trial = study.ask()
    trial.set_user_attr(COPY_OF, copy_of)
    study.tell(trial, 1.0)
    assert read_history(study, study.trials[0]) is None
