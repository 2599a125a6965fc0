"""One dashboard shows the artifacts of all studies of a storage, wherever each keeps them."""

from __future__ import annotations

import base64
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.artifacts import get_all_artifact_meta

from autotune.results.dashboard import dashboard_app
from autotune.running.places import find_places
from autotune.running.settings import StudySettings, write_settings
from autotune.running.storage import open_storage, sqlite_url
from autotune.running.trial_artifacts import TrialArtifacts, artifact_store
from autotune.study import Overrides
from autotune.training.folder import trial_folder

Ask = Callable[..., tuple[str, dict[str, str], bytes]]


@pytest.fixture
def run_dir(tmp_path: Path, no_places_from_outside: None) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def storage(run_dir: Path) -> optuna.storages.BaseStorage:
    run_dir.mkdir()
    return open_storage(sqlite_url(run_dir / "autotune.db"))


@pytest.fixture
def app(storage: optuna.storages.BaseStorage, run_dir: Path) -> Any:
    logging.getLogger("optuna_dashboard").setLevel(logging.CRITICAL)
    return dashboard_app(storage, lambda remembered: Path(remembered or run_dir))


def study_of(storage: optuna.storages.BaseStorage, run_dir: Path, name: str, artifacts: str | None) -> optuna.Study:
    """Return a study with one trial that has left a picture, which holds the study's name, and one that runs."""
    study = optuna.create_study(study_name=name, storage=storage)
    numbers: dict[str, Any] = {"n_trials": 2, "n_trials_given": False, "seed": 0, "epochs": 1, "threads": 1}
    nothing: dict[str, Any] = dict.fromkeys(("study_file", "monitor", "split", "data_dir"))
    settings = StudySettings(
        **numbers,
        **nothing,
        overrides=Overrides(),
        epoch_policy="best",
        run_dir=str(run_dir),
        artifacts=artifacts,
        token="token",
    )
    write_settings(study, settings)
    trial, folder = study.ask(), trial_folder(run_dir / name, 0)
    folder.shown.mkdir(parents=True)
    (folder.shown / "curves.png").write_text(name)
    TrialArtifacts(artifact_store(run_dir / name, settings), print).leave(trial, folder)
    study.tell(trial, 0.0)
    study.ask()
    return study


def address_of(study: optuna.Study, number: int = 0) -> str:
    trial = study.trials[number]
    (meta,) = get_all_artifact_meta(trial, storage=study._storage)
    return f"/artifacts/{study._study_id}/{trial._trial_id}/{meta.artifact_id}"


def test_each_study_shows_its_own_pictures(
    ask: Ask, app: Any, storage: optuna.storages.BaseStorage, run_dir: Path, tmp_path: Path, s3_url: str
) -> None:
    for name, artifacts in {"here": None, "there": str(tmp_path / "shared"), "bucket": s3_url}.items():
        study = study_of(storage, run_dir, name, artifacts)
        status, headers, content = ask(app, address_of(study))
        assert (status, headers["Content-Type"], content) == ("200 OK", "image/png", name.encode())


def test_a_run_dir_that_has_been_moved_is_looked_into(
    ask: Ask, storage: optuna.storages.BaseStorage, run_dir: Path, tmp_path: Path
) -> None:
    study = study_of(storage, run_dir, "here", None)
    shutil.move(run_dir / "here", tmp_path / "moved" / "here")

    def run_dir_of(remembered: str | None) -> Path:
        return find_places(None, tmp_path / "moved", remembered_run_dir=remembered).run_dir

    assert ask(dashboard_app(storage, run_dir_of), address_of(study))[2] == b"here"


def test_what_is_uploaded_on_a_page_goes_to_the_study_of_the_page(
    ask: Ask, app: Any, storage: optuna.storages.BaseStorage, run_dir: Path
) -> None:
    studies = [study_of(storage, run_dir, name, None) for name in ("one", "two")]
    file = "data:text/plain;base64," + base64.b64encode(b"a note").decode()
    body = json.dumps({"file": file, "filename": "note.txt"}).encode()
    upload = f"/api/artifacts/{studies[1]._study_id}/{studies[1].trials[1]._trial_id}"
    assert ask(app, upload, "POST", body)[0].startswith("201")
    assert ask(app, address_of(studies[1], 1))[2] == b"a note"
    assert len(list((run_dir / "two" / "artifacts").iterdir())) == 2
    assert len(list((run_dir / "one" / "artifacts").iterdir())) == 1


def test_a_study_is_deleted_with_its_artifacts_even_if_some_are_missing(
    ask: Ask, app: Any, storage: optuna.storages.BaseStorage, run_dir: Path
) -> None:
    one, two = (study_of(storage, run_dir, name, None) for name in ("one", "two"))
    shutil.rmtree(run_dir / "one" / "artifacts")
    for study in (one, two):
        assert ask(app, f"/api/studies/{study._study_id}", "DELETE", b"{}")[0].startswith("204")
    assert optuna.get_all_study_names(storage) == []
    assert list((run_dir / "two" / "artifacts").iterdir()) == []


def test_a_study_of_another_tool_has_a_page_too(
    ask: Ask, app: Any, storage: optuna.storages.BaseStorage, run_dir: Path
) -> None:
    study = optuna.create_study(study_name="foreign", storage=storage)
    missing = f"/artifacts/{study._study_id}/0123"
    assert ask(app, f"/api/studies/{study._study_id}")[0] == "200 OK"
    assert ask(app, missing)[0].startswith("404")
    assert not (run_dir / "foreign").exists()
