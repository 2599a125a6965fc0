"""The options of a run, and the processes that run code of its study file before the first trial."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autotune.errors import StudyFileError
from autotune.running.processes import KILLED, Launcher, LauncherClosedError
from autotune.running.storages import Patience
from autotune.running.study import Places, StudySource, make_writable
from autotune.running.tracking import Observer, Tracking, ignore
from autotune.training.checkpoints import client_modules

MODULES = ("autotune.running.trial.trial_task",)
_FIGURES = ("autotune.figures.epochs", "autotune.figures.confusion", "matplotlib.backends.backend_agg")
KERAS_MODULES = (
    *MODULES,
    "autotune.training.fitting.device",
    "autotune.training.trials.trial",
    "autotune.spaces",
    *_FIGURES,
)


@dataclass(frozen=True)
class RunOptions:
    """The options of a run, on this machine or on a Ray cluster.

    Attributes:
        source: The study's code.
        places: Its storage and folders.
        tracking: The artifact store, TensorBoard and MLflow.
        observer: Receives events.
        learn_from: The earlier studies to learn from, in place of those of the study file; empty for those.
    """

    source: StudySource
    places: Places
    tracking: Tracking = Tracking()  # noqa: RUF009 -- reason: frozen, and equal to every other Tracking()
    observer: Observer = ignore
    learn_from: Sequence[str] = ()

    def checked(self) -> RunOptions:
        """Return these options after a check that their folders can be written.

        Raises:
            UsageError: If one cannot.
        """
        make_writable(self.places.run_dir)
        return dataclasses.replace(self, tracking=self.tracking.checked())

    @property
    def keras_modules(self) -> tuple[str, ...]:
        """The modules to import before trials of Keras studies."""
        return (*KERAS_MODULES, *client_modules(self.tracking.artifacts))

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules to import before trials, as far as they are known before its code runs."""
        return self.keras_modules if self.source.needs_keras else MODULES


@dataclass(frozen=True)
class Preparer:
    """Runs code of the study in processes, before the first trial.

    Attributes:
        options: The checked options of the run.
        launcher: Starts processes.
        stopping: Set before the launcher is closed.
        threads: The number of threads for each trial of a new study.
        patience: How to wait for a storage that does not answer.
    """

    options: RunOptions
    launcher: Launcher
    stopping: threading.Event
    threads: int = 1
    patience: Patience = dataclasses.field(default_factory=Patience)

    def preload(self) -> None:
        """Import the modules for Keras studies before processes start."""
        self.launcher.preload(self.options.keras_modules)

    def ask(self, task: Any, attempts: int = 3) -> Any:
        """Run a task in a new process, and return its result.

        Raises:
            StudyFileError: If the process ends without a result.
            LauncherClosedError: If the run was stopped.
        """
        process = self.launcher.start(task)
        try:
            with _importing_beside(self.options.source.path):
                kind, value = process.connection.recv()
        except (EOFError, ConnectionError):
            status = process.exit_status()
            if self.stopping.is_set():
                raise LauncherClosedError from None
            if attempts > 1 and (status is None or status in KILLED):  # probably not because of the study's code
                return self.ask(task, attempts - 1)
            raise self._died(status) from None
        process.exit_status()
        if kind == "error":
            raise value
        return value

    def _died(self, status: int | None) -> StudyFileError:
        return StudyFileError(
            f"the process that loads the study ended before it was done (exit status {status}).\n"
            f"{self.launcher.last_words()}",
            "Loading a study file, its dataset and its model must not end the process.",
            "Look at the lines above; run the study file alone to see more.",
        )


@contextlib.contextmanager
def _importing_beside(study_file: Path | None) -> Iterator[None]:
    """Let unpickling find samplers and pruners from modules in the folder of the study file."""
    if study_file is None:
        yield
        return
    sys.path.append(str(study_file.parent))
    try:
        yield
    finally:
        sys.path.remove(str(study_file.parent))
