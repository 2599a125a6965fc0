"""One dashboard shows the artifacts of all studies of a storage, wherever each keeps them."""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.artifacts import get_all_artifact_meta

from autotune.results.dashboard.serving import dashboard_app, stores_left_out
from autotune.running.storages.opening import open_storage
from autotune.running.study.settings import StudySettings, read_settings, write_settings
from autotune.running.tracking.trial_artifacts import TrialArtifacts, artifact_store
from autotune.study import Overrides
from autotune.training.checkpoints.folder import trial_folder

Ask = Callable[..., tuple[str, dict[str, str], bytes]]


@pytest.fixture
def run_dir(tmp_path: Path, no_places_from_outside: None) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def storage(run_dir: Path) -> optuna.storages.BaseStorage:
    run_dir.mkdir()
    return open_storage(f"journal:///{run_dir / 'studies.log'}")  # opens sooner than a database


@pytest.fixture
def app(storage: optuna.storages.BaseStorage, run_dir: Path) -> Any:
    logging.getLogger("optuna_dashboard").setLevel(logging.CRITICAL)
    return dashboard_app(storage, run_dir)


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
    ask: Ask, storage: optuna.storages.BaseStorage, run_dir: Path, tmp_path: Path, s3_url: str
) -> None:
    stores = {"here": None, "inside": str(run_dir / "shared"), "there": str(tmp_path / "shared"), "bucket": s3_url}
    trusted = [stores["there"], s3_url]
    app = dashboard_app(storage, run_dir, trusted)
    for name, artifacts in stores.items():
        study = study_of(storage, run_dir, name, artifacts)
        status, headers, content = ask(app, address_of(study))
        assert (status, headers["Content-Type"], content) == ("200 OK", "image/png", name.encode())
    assert stores_left_out(storage, run_dir, trusted) == {}


@pytest.mark.parametrize("url", ["s3://bucket/prefix", "gs://bucket", "/etc", "file:///etc", "../.."])
def test_a_store_that_only_the_storage_names_is_not_opened(
    ask: Ask, app: Any, storage: optuna.storages.BaseStorage, run_dir: Path, url: str
) -> None:
    study = study_of(storage, run_dir, "here", None)
    settings = read_settings(study)
    assert settings is not None
    write_settings(study, replace(settings, artifacts=url))
    assert ask(app, address_of(study))[2] == b"here"
    assert stores_left_out(storage, run_dir) == {url: "here"}


OTHERS = "0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f"  # as artifacts are called


@pytest.fixture
def owners(tmp_path: Path) -> Path:
    """A folder of the owner's, outside of the run dir, with a file that nobody else is to see."""
    folder = tmp_path / "owners"
    (folder / "artifacts").mkdir(parents=True)
    for path in (folder / OTHERS, folder / "artifacts" / OTHERS):
        path.write_text("secret")
    return folder


def note(study: optuna.Study, artifact_id: str, mimetype: str = "text/plain") -> str:
    """Note an artifact as a stranger may, and return its address."""
    meta = {"artifact_id": artifact_id, "filename": "a", "mimetype": mimetype, "encoding": None}
    study._storage.set_study_system_attr(study._study_id, f"artifacts:{artifact_id}", json.dumps(meta))
    return f"/artifacts/{study._study_id}/{artifact_id}"


@pytest.mark.parametrize("what", ["run_dir", "file", "folder", "study", "name", "token", "inside", "pipe"])
def test_no_file_outside_of_the_run_dir_is_sent_or_deleted(
    ask: Ask, app: Any, storage: optuna.storages.BaseStorage, run_dir: Path, owners: Path, what: str
) -> None:
    name = "../owners" if what == "name" else "here"
    study = optuna.create_study(study_name=name, storage=storage)
    settings = {"run_dir": str(owners if what == "run_dir" else run_dir), "token": "token", "artifacts": None}
    folder = run_dir / "here" / "artifacts"
    folder.parent.mkdir()
    if what == "run_dir":
        (owners / "here").symlink_to(owners)
    elif what == "file":
        folder.mkdir()
        (folder / OTHERS).symlink_to(owners / OTHERS)
    elif what == "folder":
        folder.symlink_to(owners)
    elif what == "study":
        folder.parent.rmdir()
        folder.parent.symlink_to(owners)
    elif what == "token":
        (run_dir / "shared" / "here").mkdir(parents=True)
        settings |= {"artifacts": str(run_dir / "shared"), "token": "../../../owners"}
    elif what == "inside":
        settings |= {"artifacts": f"{run_dir}/../owners", "token": "."}
    elif what == "pipe":
        folder.mkdir()
        os.mkfifo(folder / OTHERS)  # whoever opens it waits for a writer
    study.set_user_attr("autotune", study_of(storage, run_dir, "other", None).user_attrs["autotune"] | settings)
    assert ask(app, note(study, OTHERS))[0].startswith("404")
    deleted = f"/api/artifacts/{study._study_id}/{OTHERS}"
    ask(app, deleted, "DELETE", b"{}")
    for path in (owners / OTHERS, owners / "artifacts" / OTHERS):
        assert path.read_text() == "secret"


def test_a_name_of_a_file_that_leads_elsewhere_deletes_nothing(
    ask: Ask, app: Any, storage: optuna.storages.BaseStorage, run_dir: Path, owners: Path
) -> None:
    study = study_of(storage, run_dir, "here", None)
    note(study, f"../../../owners/{OTHERS}")
    note(study, str(owners / OTHERS))
    assert ask(app, f"/api/studies/{study._study_id}", "DELETE", b"{}")[0].startswith("204")
    assert (owners / OTHERS).read_text() == "secret"


def test_a_run_dir_that_has_been_moved_is_looked_into(
    ask: Ask, storage: optuna.storages.BaseStorage, run_dir: Path, tmp_path: Path
) -> None:
    study = study_of(storage, run_dir, "here", None)
    shutil.move(run_dir / "here", tmp_path / "moved" / "here")

    assert ask(dashboard_app(storage, tmp_path / "moved"), address_of(study))[2] == b"here"


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


def test_it_is_asked_by_pages_of_its_own_alone(ask: Ask, app: Any, storage: optuna.storages.BaseStorage) -> None:
    optuna.create_study(study_name="here", storage=storage)
    body = json.dumps({"study_name": "evil", "directions": ["minimize"]}).encode()
    assert ask(app, "/api/studies", HTTP_HOST="evil.example")[0].startswith("403")
    assert ask(app, "/api/studies", "POST", body, HTTP_ORIGIN="http://evil.example")[0].startswith("403")
    assert optuna.get_all_study_names(storage) == ["here"]
    assert ask(app, "/api/studies", "POST", body, HTTP_ORIGIN="http://127.0.0.1:80")[0].startswith("201")
