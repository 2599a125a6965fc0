"""Where else a study is kept and shown: an artifact store, TensorBoard's event files, and runs of MLflow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import optuna

from autotune.errors import UsageError
from autotune.running.storages import sqlite_url
from autotune.running.study import IN_RUN_DIR, StudySettings
from autotune.running.tracking.events import Observer
from autotune.running.tracking.mlflow import LoggedStudy, MlflowRuns
from autotune.training.checkpoints import NOWHERE, check_store, store_url

_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Tracking:
    """Where else a study is kept and shown; None for what the study remembers, "none" for no longer.

    Attributes:
        artifacts: Where checkpoints are copied to.
        tensorboard: The folder of event files of all studies, or "run-dir" for one in the study's own folder.
        mlflow: The tracking URI of MLflow.
    """

    artifacts: str | None = None
    tensorboard: str | Path | None = None
    mlflow: str | None = None

    def checked(self) -> Tracking:
        """Return it with the URL of the artifact store in one form, after a look whether that can be used.

        Raises:
            UsageError: If it cannot.
        """
        if self.artifacts in (None, NOWHERE):
            return self
        url = store_url(self.artifacts)
        check_store(url)
        return dataclasses.replace(self, artifacts=url)

    def of_study(self, before: StudySettings | None, monitor: str | None) -> Tracking:
        """Return what a study is to remember: absolute, and None for nowhere.

        Args:
            before: What it remembers; None for nothing.
            monitor: The monitored metric; None for a plain objective.

        Raises:
            UsageError: If its artifact store cannot be used any more, there are no event files to be written, or there
                is a password in what would be stored.
        """
        return Tracking(self._artifacts(before), self._tensorboard(before, monitor), self._mlflow(before))

    def _artifacts(self, before: StudySettings | None) -> str | None:
        if self.artifacts is None and before is not None and before.artifacts is not None:
            check_store(before.artifacts)
            return before.artifacts
        return None if self.artifacts == NOWHERE else self.artifacts

    def _tensorboard(self, before: StudySettings | None, monitor: str | None) -> str | None:
        remembered = before.tensorboard if before else None
        given = str(self.tensorboard) if self.tensorboard is not None else remembered
        if given in (None, NOWHERE):
            return None
        if monitor is None:
            raise UsageError(
                "--tensorboard is given, but the study has a plain objective.",
                "Event files are written by Keras, epoch by epoch, in studies with build, dataset and monitor.",
                "Leave it out, and write event files in the objective.",
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
                "the tracking URI of MLflow that was given seems to have a password in it.",
                "The study remembers the URI. MLflow takes credentials from its environment:\n"
                "MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, MLFLOW_TRACKING_TOKEN.",
                "Set these, and give the URI without what stands before the @.",
            )
        return sqlite_url(Path(given.removeprefix(_SQLITE)).absolute()) if given.startswith(_SQLITE) else given


def events_folder(folder: Path, settings: StudySettings) -> Path | None:
    """Return where a study's event files are, a folder for each trial in it; None for nowhere.

    Args:
        folder: The study's folder, `RUN_DIR/NAME`.
        settings: What it remembers.

    Raises:
        UsageError: If the package is missing. TensorFlow does without it, and says so only when it writes.
    """
    if settings.tensorboard is None:
        return None
    _require("tensorboard", "event files", "--tensorboard")
    return folder / "tensorboard" if settings.tensorboard == IN_RUN_DIR else Path(settings.tensorboard) / folder.name


def mlflow_runs(logged: optuna.Study, folder: Path, settings: StudySettings, observer: Observer) -> MlflowRuns | None:
    """Begin to log trials of a study to MLflow, if it remembers where.

    Args:
        logged: The study.
        folder: Its folder, `RUN_DIR/NAME`.
        settings: What it remembers.
        observer: Who else is told of each event.

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
            "It is an extra of autotune's.",
            f'Install it: pip install "autotune[{package}]"; or say {option} none.',
        )
