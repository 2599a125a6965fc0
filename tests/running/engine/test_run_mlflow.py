"""Finished trials as runs of MLflow: one for each, whatever runs in parallel, is away, or is run again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

import autotune
from autotune.errors import UsageError
from autotune.running.study.settings import read_settings
from autotune.running.tracking import mlflow as mlflow_runs
from autotune.running.tracking import tracking
from autotune.running.tracking.events import Event, Note

StudyFile = Callable[..., Path]
needs_mlflow = pytest.mark.skipif(tracking.find_spec("mlflow") is None, reason="no MLflow: install the extra mlflow")
# MLflow's own tables and clients, in its own modules.
pytestmark = [
    needs_mlflow,
    pytest.mark.filterwarnings("ignore:::mlflow"),
    pytest.mark.filterwarnings("ignore:::alembic"),
]

SEARCH = """
    def objective(trial):
        x = trial.suggest_float("x|y", 0, 1)
        for step in (1, 2):
            trial.report(x / step, step)
        if trial.number == 1:
            raise optuna.TrialPruned
        if trial.number == 2:
            raise ValueError("as planned")
        return x
"""


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture(autouse=True)
def _nothing_settles_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_runs, "_SETTLED_S", 0.0)


def runs(uri: str, study: str = "toy") -> dict[int, Any]:
    """Return the runs of a study by their trials' numbers; fails if a trial has two."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(study)
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    by_number = {int(run.data.tags["autotune.trial"]): run for run in found}
    assert len(by_number) == len(found)
    return by_number


def test_each_finished_trial_is_a_run(study_file: StudyFile, run_dir: Path, uri: str) -> None:
    from mlflow import MlflowClient

    study = autotune.run(study_file(SEARCH), run_dir=run_dir, workers=3, mlflow=uri)
    logged, client = runs(uri), MlflowClient(tracking_uri=uri)
    assert sorted(logged) == [trial.number for trial in study.trials]
    for trial in study.trials:
        run = logged[trial.number]
        assert run.info.run_name == f"toy trial {trial.number}"
        assert run.data.params == {"x_y": str(trial.params["x|y"])}
        assert run.data.tags["autotune.state"] == trial.state.name.lower()
        reports = client.get_metric_history(run.info.run_id, "report")
        assert {one.step: one.value for one in reports} == trial.intermediate_values
    assert logged[0].data.metrics["value"] == study.trials[0].value
    assert [logged[number].info.status for number in range(3)] == ["FINISHED", "KILLED", "FAILED"]
    assert logged[2].data.tags["autotune.failure"] == "error"
    assert "as planned" in logged[2].data.tags["autotune.failure_message"]
    assert [file.path for file in client.list_artifacts(logged[2].info.run_id)] == ["log.txt"]


def test_nothing_is_logged_twice_and_what_is_missing_is_made_up_for(
    study_file: StudyFile, run_dir: Path, uri: str
) -> None:
    file = study_file(SEARCH)
    autotune.run(file, run_dir=run_dir, workers=1)
    assert runs(uri) == {}
    autotune.run(file, run_dir=run_dir, workers=1, mlflow=uri)
    assert sorted(runs(uri)) == [0, 1, 2, 3, 4]
    autotune.run(file, run_dir=run_dir, workers=1)
    study = autotune.run(file, run_dir=run_dir, workers=1, n_trials=6)  # it is remembered
    n_trials = len(study.trials)
    assert sorted(runs(uri)) == list(range(n_trials))
    autotune.run(file, run_dir=run_dir, workers=1, n_trials=7, mlflow="none")
    assert len(runs(uri)) == n_trials


def test_a_run_that_was_not_logged_to_its_end_is_logged_anew(study_file: StudyFile, run_dir: Path, uri: str) -> None:
    from mlflow import MlflowClient

    study = autotune.run(study_file(SEARCH), run_dir=run_dir, workers=1, mlflow=uri)
    client, before = MlflowClient(tracking_uri=uri), runs(uri)[0]
    client.set_terminated(before.info.run_id, "RUNNING")
    autotune.run(study_file(SEARCH), run_dir=run_dir, workers=1)
    again = runs(uri)
    assert again[0].info.run_id != before.info.run_id
    assert again[0].info.status == "FINISHED"
    assert len(again) == len(study.trials)


def test_a_server_that_is_away_is_told_once_and_ends_no_search(
    study_file: StudyFile, run_dir: Path, tmp_path: Path
) -> None:
    told: list[Event] = []
    uri = f"sqlite:///{tmp_path}/nowhere/mlflow.db"
    (tmp_path / "nowhere").write_text("no folder")
    study = autotune.run(study_file(SEARCH), run_dir=run_dir, workers=2, mlflow=uri, observer=told.append)
    assert len(study.trials) == 5
    (note,) = [event for event in told if isinstance(event, Note)]
    assert note.text.startswith("trials cannot be logged to MLflow (")
    (tmp_path / "nowhere").unlink()
    (tmp_path / "nowhere").mkdir()
    autotune.run(study_file(SEARCH), run_dir=run_dir, workers=2)
    assert sorted(runs(uri)) == [0, 1, 2, 3, 4]


def test_a_password_is_not_remembered(study_file: StudyFile, run_dir: Path) -> None:
    with pytest.raises(UsageError, match="seems to contain a password") as error:
        autotune.run(study_file(SEARCH), run_dir=run_dir, workers=1, mlflow="https://me:secret@host")
    assert "secret" not in str(error.value)


def test_a_database_is_remembered_by_its_whole_path(
    study_file: StudyFile, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study: optuna.Study = autotune.run(study_file(SEARCH), run_dir=run_dir, workers=1, mlflow="sqlite:///mlflow.db")
    settings = read_settings(study)
    assert settings is not None
    assert settings.mlflow == f"sqlite:///{tmp_path}/mlflow.db"
    assert not (tmp_path / "mlruns").exists()
