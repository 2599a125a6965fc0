"""The options for an artifact store, TensorBoard's event files, and runs of MLflow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import optuna

from autotune.distribution import install_command
from autotune.errors import UsageError
from autotune.running.storages import sqlite_url
from autotune.running.study import IN_RUN_DIR, StudySettings
from autotune.running.tracking.events import Observer
from autotune.running.tracking.mlflow import LoggedStudy, MlflowRuns
from autotune.training.checkpoints import NOWHERE, check_store, store_url

_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Tracking:
    """The given options. None stands for the stored setting of the study, "none" for using none from now on.

    Attributes:
        artifacts: The URL of the store to which checkpoints are copied.
        tensorboard: The folder of event files of all studies, or "run-dir" for one in the study's own folder.
        mlflow: The tracking URI of MLflow.
    """

    artifacts: str | None = None
    tensorboard: str | Path | None = None
    mlflow: str | None = None

    def checked(self) -> Tracking:
        """Return the options with the artifact store's URL in its stored form, and check that the store can be used.

        Raises:
            UsageError: If the store cannot be used.
        """
        if self.artifacts in (None, NOWHERE):
            return self
        url = store_url(self.artifacts)
        check_store(url)
        return dataclasses.replace(self, artifacts=url)

    def of_study(self, before: StudySettings | None, monitor: str | None) -> Tracking:
        """Return the settings that a study should store: absolute paths, and None for none.

        Args:
            before: Its stored settings; None if there are none.
            monitor: The monitored metric; None for a plain objective.

        Raises:
            UsageError: If its artifact store cannot be used any more, a plain objective is to have event files, or a
                URI contains a password.
        """
        return Tracking(self._artifacts(before), self._tensorboard(before, monitor), self._mlflow(before))

    def _artifacts(self, before: StudySettings | None) -> str | None:
        if self.artifacts is None and before is not None and before.artifacts is not None:
            check_store(before.artifacts)
            return before.artifacts
        return None if self.artifacts == NOWHERE else self.artifacts

    def _tensorboard(self, before: StudySettings | None, monitor: str | None) -> str | None:
        stored = before.tensorboard if before else None
        given = str(self.tensorboard) if self.tensorboard is not None else stored
        if given in (None, NOWHERE):
            return None
        if monitor is None:
            raise UsageError(
                "--tensorboard is given, but the study has a plain objective.",
                "Keras writes event files in studies with build, dataset and monitor only.",
                "Remove --tensorboard, and write event files in the objective.",
            )
        return given if given == IN_RUN_DIR else str(Path(given).absolute())

    def _mlflow(self, before: StudySettings | None) -> str | None:
        given = self.mlflow
        if given is None:
            return before.mlflow if before else None
        if given == NOWHERE:
            return None
        if "@" in given:
            raise UsageError(
                "the tracking URI of MLflow seems to contain a password.",
                "The study stores the URI, so it must not contain credentials. MLflow reads them from\n"
                "MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD and MLFLOW_TRACKING_TOKEN.",
                "Set these variables, and give the URI without the part before the @.",
            )
        return sqlite_url(Path(given.removeprefix(_SQLITE)).absolute()) if given.startswith(_SQLITE) else given


def events_folder(folder: Path, settings: StudySettings) -> Path | None:
    """Return the folder of a study's event files, with a folder for each trial; None if it has none.

    Args:
        folder: The study's folder, `RUN_DIR/NAME`.
        settings: Its stored settings.

    Raises:
        UsageError: If the package is missing. TensorFlow itself would notice that only when it writes.
    """
    if settings.tensorboard is None:
        return None
    _require("tensorboard", "event files", "--tensorboard")
    return folder / "tensorboard" if settings.tensorboard == IN_RUN_DIR else Path(settings.tensorboard) / folder.name


def mlflow_runs(logged: optuna.Study, folder: Path, settings: StudySettings, observer: Observer) -> MlflowRuns | None:
    """Start to log trials of a study to MLflow, if its settings have a tracking URI.

    Args:
        logged: The study.
        folder: Its folder, `RUN_DIR/NAME`.
        settings: Its stored settings.
        observer: Receives each event.

    Raises:
        UsageError: If the package is missing.
    """
    if settings.mlflow is None:
        return None
    _require("mlflow", "runs of MLflow", "--mlflow")
    return MlflowRuns(LoggedStudy(logged, settings, folder, settings.mlflow), observer)


def _require(package: str, what: str, option: str) -> None:
    if find_spec(package) is None:
        raise UsageError(
            f"{what} need the package {package}, which is not installed.",
            "It is an optional dependency of autotune.",
            f"Install it: {install_command(package)}; or use {option} none.",
        )
