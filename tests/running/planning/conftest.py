"""A study file, and a launcher whose processes are none: what they would do is done here, or said by the test."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections import deque
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from autotune.running.planning.preparer import Preparer, RunOptions
from autotune.running.study.places import Places
from autotune.running.study.source import study_source
from autotune.running.tracking.events import Event, Note
from autotune.running.trial.preparing import Preparation, Prepare
from autotune.study import Overrides


class Process:
    """A process that has said what it says and has ended."""

    def __init__(self, said: Any, status: int | None) -> None:
        self.connection = self
        self._said = said
        self._status = status

    def recv(self) -> Any:
        if self._said is None:
            raise EOFError
        return self._said() if callable(self._said) else self._said

    def exit_status(self) -> int | None:
        return self._status


class Here:
    """A launcher that does tasks here.

    Attributes:
        prepared: What preparing a study comes to; None to prepare it.
        processes: What comes in place of the next processes.
        tasks: What it was asked to do.
    """

    def __init__(self) -> None:
        self.prepared: Preparation | None = None
        self.processes: deque[Process] = deque()
        self.tasks: list[Any] = []

    def start(self, task: Any) -> Process:
        self.tasks.append(task)
        if self.processes:
            return self.processes.popleft()
        if isinstance(task, Prepare) and self.prepared is not None:
            return Process(("value", self.prepared), 0)
        here, there = Pipe()
        with here, there:
            task(there)
            return Process(here.recv(), 0)

    def preload(self, modules: tuple[str, ...]) -> None:
        pass

    def last_words(self) -> str:
        return "its last words"


class Bench:
    """A study file in a folder, and what is told of its runs.

    Attributes:
        file: The study file.
        launcher: Does its tasks.
        notes: What a person is told.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "study.py"
        self.launcher = Here()
        self.notes: list[str] = []
        self.places = Places(f"sqlite:///{folder / 'study.db'}", folder / "runs", None)
        self.declares()

    def declares(self, space: str = 'trial.suggest_float("x", 0.0, 1.0)', **more: str) -> None:
        """Write the study file, with an objective that asks for `space`."""
        declared = {"name": "'toy'", "direction": "'minimize'", "n_trials": "4", "seed": "7", **more}
        self.file.write_text(
            dedent(
                f"""
                '''Is x small?'''
                import optuna

                from autotune import StudySpec

                def objective(trial):
                    return {space}

                study = StudySpec(objective=objective, {", ".join(f"{name}={code}" for name, code in declared.items())})
                """
            )
        )

    def preparer(self, overrides: Overrides | None = None, threads: int = 3, **options: Any) -> Preparer:
        """Return a new run's preparer."""
        source = dataclasses.replace(study_source(self.file), overrides=overrides or Overrides())
        given = RunOptions(source, self.places, observer=self._observe)
        launcher: Any = self.launcher
        return Preparer(dataclasses.replace(given, **options), launcher, threading.Event(), threads)

    def _observe(self, event: Event) -> None:
        assert isinstance(event, Note)
        self.notes.append(event.text)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give a study file, and what plans its runs without processes."""
    os.makedirs(tmp_path / "runs", exist_ok=True)
    return Bench(tmp_path)


@pytest.fixture
def process() -> Callable[[Any, int | None], Process]:
    """Give what makes a process of what it says, None for not a word, and its exit status."""
    return Process
