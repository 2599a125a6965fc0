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

from autotune.running.storage import open_storage, sqlite_url

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
