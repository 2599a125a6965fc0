"""Study files, stores and child processes for the tests of runs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent

import optuna
import pytest

from autotune.running.storage import open_storage, sqlite_url

Script = Callable[..., "subprocess.Popen[str]"]
Until = Callable[[Callable[[], bool]], None]
ROOT = Path(__file__).parents[2]
PATIENCE_S = 180  # for a machine that is very busy; nothing here waits for time to pass


@pytest.fixture(autouse=True)
def _no_places_from_outside(no_places_from_outside: None) -> None:
    pass


@pytest.fixture
def storage(tmp_path: Path) -> optuna.storages.BaseStorage:
    """Give a new SQLite storage, opened as runs do."""
    return open_storage(sqlite_url(tmp_path / "study.db"))


@pytest.fixture
def until() -> Until:
    """Give a function that waits for what another process does and tells nobody of."""

    def wait(condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up, "what was waited for did not happen"
            time.sleep(0.05)  # reason: nobody says when it has happened

    return wait


@pytest.fixture
def until_written() -> str:
    """Give what makes study files wait for a checkpoint of their process: until_written(finished_folds, epochs).

    Without, how far a trial has come that is killed depends on how fast the disk is.
    """
    return dedent(
        """
        import queue

        from autotune.training.copies import CheckpointCopies

        written, save = queue.Queue(), CheckpointCopies.save

        def saving(copies, checkpoint):
            save(copies, checkpoint)
            written.put(checkpoint.progress)

        CheckpointCopies.save = saving

        def until_written(*progress):
            while written.get() != progress:
                pass
        """
    )


@pytest.fixture
def script() -> Iterator[Script]:
    """Give a function that runs Python code in a process of its own, with pipes; what is left is killed."""
    with ExitStack() as stack:

        def start(code: str, *arguments: object) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", dedent(code), *map(str, arguments)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield start
