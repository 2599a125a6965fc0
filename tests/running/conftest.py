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

_STUDY_FILE = """
import os
import signal
import sys
from pathlib import Path

import optuna

from autotune import StudySpec

HERE = Path(__file__).parent

def first_time(what):
    try:
        (HERE / what).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

{code}

study = StudySpec(**{{"name": "toy", "objective": objective, "direction": "minimize", "n_trials": 4, {options}}})
"""


@pytest.fixture(autouse=True)
def _no_places_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPTUNA_STORAGE", "AUTOTUNE_RUN_DIR", "AUTOTUNE_DATA"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Give the run dir of this test."""
    return tmp_path / "runs"


@pytest.fixture
def study_file(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes a study file around the code of an objective."""

    def write(code: str, options: str = "", file: str = "study.py") -> Path:
        path = tmp_path / file
        path.write_text(_STUDY_FILE.format(code=dedent(code), options=options), "utf-8")
        return path

    return write


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
