"""What a run is given, and the processes in which code of its study file is run before there are trials."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
from collections.abc import Iterator
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
    """What a run is given, wherever it runs.

    Attributes:
        source: The study's code.
        places: Where its records and files are.
        tracking: Where else it is kept and shown.
        observer: Told what happens.
    """

    source: StudySource
    places: Places
    tracking: Tracking = Tracking()  # noqa: RUF009 -- reason: frozen, and equal to every other Tracking()
    observer: Observer = ignore

    def checked(self) -> RunOptions:
        """Return them after a look whether files can be written where they are to be.

        Raises:
            UsageError: If they cannot.
        """
        make_writable(self.places.run_dir)
        return dataclasses.replace(self, tracking=self.tracking.checked())

    @property
    def keras_modules(self) -> tuple[str, ...]:
        """What trials of Keras studies need imported."""
        return (*KERAS_MODULES, *client_modules(self.tracking.artifacts))

    @property
    def modules(self) -> tuple[str, ...]:
        """What its trials need imported, as far as one can tell without running its code."""
        return self.keras_modules if self.source.needs_keras else MODULES


@dataclass(frozen=True)
class Preparer:
    """Has code of the study run in processes of its own, before there are trials.

    Attributes:
        options: What the run is given, checked.
        launcher: Starts processes.
        stopping: Set by whoever closes the launcher, before doing so.
        threads: How many threads each trial of a new study is to have.
        patience: How to wait for a storage that is away.
    """

    options: RunOptions
    launcher: Launcher
    stopping: threading.Event
    threads: int = 1
    patience: Patience = dataclasses.field(default_factory=Patience)

    def preload(self) -> None:
        """Have processes started with what trials of Keras studies need."""
        self.launcher.preload(self.options.keras_modules)

    def ask(self, task: Any, attempts: int = 3) -> Any:
        """Have a process of its own do a preparing task, and return its result.

        Raises:
            StudyFileError: If the process ends before it has one.
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
            if attempts > 1 and (status is None or status in KILLED):  # by somebody else, for all one can tell
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
    """Let samplers and pruners be found that a study file has imported from its neighbours."""
    if study_file is None:
        yield
        return
    sys.path.append(str(study_file.parent))
    try:
        yield
    finally:
        sys.path.remove(str(study_file.parent))
