"""Study files, stores and child processes for the tests of runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent

import optuna
import pytest

from autotune.running.storages.opening import open_storage, sqlite_url

Script = Callable[..., "subprocess.Popen[str]"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_places_from_outside(no_places_from_outside: None) -> None:
    pass


@pytest.fixture
def storage(tmp_path: Path) -> optuna.storages.BaseStorage:
    """Give a new SQLite storage, opened as runs do."""
    return open_storage(sqlite_url(tmp_path / "study.db"))


@pytest.fixture
def until_written() -> str:
    """Give what makes study files wait for a checkpoint of their process: until_written(finished_folds, epochs).

    Without, how far a trial has come that is killed depends on how fast the disk is.
    """
    return dedent(
        """
        import queue

        from autotune.training.checkpoints.copies import CheckpointCopies

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
