"""Where else a study is shown while it runs: TensorBoard's event files, and runs of MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import optuna

from autotune.errors import UsageError
from autotune.running.storages import sqlite_url
from autotune.running.study import IN_RUN_DIR, StudySettings
from autotune.running.tracking.events import Observer
from autotune.running.tracking.mlflow import LoggedStudy, MlflowRuns
from autotune.training.checkpoints import NOWHERE

_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Tracking:
    """What was asked for in this run; None for what the study remembers, "none" for no longer.

    Attributes:
        tensorboard: The folder of event files of all studies, or "run-dir" for one in the study's own folder.
        mlflow: The tracking URI of MLflow.
    """

    tensorboard: str | None = None
    mlflow: str | None = None

    def tensorboard_of(self, before: StudySettings | None, monitor: str | None) -> str | None:
        """Return what the study is to remember of TensorBoard.

        Args:
            before: What it remembers.
            monitor: The monitored metric; None for a plain objective.

        Raises:
            UsageError: If there is nothing to be written.
        """
        given = self.tensorboard
        if given is None:
            given = before.tensorboard if before else None
        if given in (None, NOWHERE):
            return None
        if monitor is None:
            raise UsageError(
                "--tensorboard is given, but the study has a plain objective.",
                "Event files are written by Keras, epoch by epoch, in studies with build, dataset and monitor.",
                "Leave it out, and write event files in the objective.",
            )
        return given if given == IN_RUN_DIR else str(Path(given).absolute())

    def mlflow_of(self, before: StudySettings | None) -> str | None:
        """Return what the study is to remember of MLflow: its tracking URI.

        Args:
            before: What it remembers.

        Raises:
            UsageError: If there is a password in it, which would be stored.
        """
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
