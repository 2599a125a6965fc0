"""What a process says that runs code of a study file, and what is made of one that dies."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autotune.errors import StorageError, StudyFileError
from autotune.running.planning.preparer import KERAS_MODULES, Preparer
from autotune.running.processes import LauncherClosedError
from autotune.running.tracking.tracking import Tracking

KILLED, CRASHED, UNKNOWN = -signal.SIGKILL, 3, None


def test_what_a_process_finds_comes_back(bench: Any, process: Callable[..., Any]) -> None:
    bench.launcher.processes.append(process(("value", 42), 0))
    assert bench.preparer().ask("a task") == 42
    assert bench.launcher.tasks == ["a task"]


def test_a_mistake_that_it_finds_is_raised_as_it_is(bench: Any, process: Callable[..., Any]) -> None:
    mistake = StudyFileError("there is no study.", "There is one.", "Write it.")
    bench.launcher.processes.append(process(("error", mistake), 0))
    with pytest.raises(StudyFileError) as raised:
        bench.preparer().ask("a task")
    assert raised.value is mistake


@pytest.mark.parametrize("status", [KILLED, UNKNOWN])
def test_one_that_others_have_ended_is_started_again(bench: Any, process: Callable[..., Any], status: int) -> None:
    bench.launcher.processes += [process(None, status), process(None, status), process(("value", 42), 0)]
    assert bench.preparer().ask("a task") == 42


def test_one_that_is_always_killed_is_given_up(bench: Any, process: Callable[..., Any]) -> None:
    bench.launcher.processes += [process(None, KILLED)] * 3
    with pytest.raises(StudyFileError, match=rf"(?s)exit status {KILLED}.*its last words"):
        bench.preparer().ask("a task")


def test_one_that_ends_itself_is_not_asked_again(bench: Any, process: Callable[..., Any]) -> None:
    bench.launcher.processes.append(process(None, CRASHED))
    with pytest.raises(StudyFileError, match="exit status 3"):
        bench.preparer().ask("a task")
    assert len(bench.launcher.tasks) == 1


def test_when_the_run_is_stopped_nothing_is_asked_again(bench: Any, process: Callable[..., Any]) -> None:
    preparer: Preparer = bench.preparer()
    preparer.stopping.set()
    bench.launcher.processes.append(process(None, KILLED))
    with pytest.raises(LauncherClosedError):
        preparer.ask("a task")


def test_what_the_study_file_imports_from_beside_it_is_found_while_its_answer_is_read(
    bench: Any, process: Callable[..., Any]
) -> None:
    (bench.file.parent / "beside_this_study.py").write_text("WHAT = 42")
    read = lambda: ("value", importlib.import_module("beside_this_study").WHAT)  # noqa: E731 -- reason: what recv does
    bench.launcher.processes.append(process(read, 0))
    assert bench.preparer().ask("a task") == 42
    assert str(bench.file.parent) not in sys.path


def test_keras_is_imported_for_studies_that_need_it_and_the_client_of_their_store(bench: Any) -> None:
    on_s3 = Tracking(artifacts="s3://bucket")
    assert bench.preparer(tracking=on_s3).options.keras_modules == (*KERAS_MODULES, "boto3")
    assert not set(KERAS_MODULES) <= set(bench.preparer(tracking=on_s3).options.modules)  # it has an objective
    bench.file.write_text("import keras")
    assert bench.preparer(tracking=on_s3).options.modules == (*KERAS_MODULES, "boto3")


def test_where_files_are_to_be_they_can_be_written(bench: Any, tmp_path: Path) -> None:
    checked = bench.preparer(tracking=Tracking(artifacts=f"{tmp_path}/store/")).options.checked()
    assert checked.tracking.artifacts == str(tmp_path / "store")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        bench.preparer(tracking=Tracking(artifacts=f"{tmp_path}/file/store")).options.checked()
