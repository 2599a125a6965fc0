"""A study file that a storage names is not run unasked, unless it has run here as it is."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

import autotune
from autotune.cli import main
from autotune.errors import UsageError
from autotune.results.explanation.explaining import explain
from autotune.results.export.replaying import replay
from autotune.running.storages.opening import sqlite_url
from autotune.running.study.places import records_folder
from autotune.running.study.settings import StudySettings, write_settings
from autotune.running.study.source import StudySource, study_source
from autotune.running.study.trust import UntrustedFileError, record_trust, source_named_by_storage
from autotune.study import Overrides
from autotune.terminal.asking import asking_for_trust
from autotune.training.checkpoints.folder import trial_folder

StudyFile = Callable[..., Path]
COMMANDS = {
    "resume": ["resume", "toy"],
    "finalize": ["finalize", "toy"],
    "learning-curve": ["learning-curve", "toy"],
    "explain": ["explain", "toy"],
    "replay": ["replay", "toy", "--trial", "0"],
}
OBJECTIVE = """
(HERE / "executed").touch()

def objective(trial):
    return trial.suggest_float("x", 0.0, 1.0)
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_places_from_outside: None) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def strangers(study_file: StudyFile, tmp_path: Path) -> Path:
    """A study file that a storage names, in a study with a finished trial and its model: anybody may write there."""
    file = study_file(OBJECTIVE)
    (tmp_path / "runs").mkdir()
    study = optuna.create_study(study_name="toy", storage=sqlite_url(tmp_path / "runs" / "autotune.db"))
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=1)
    settings: dict[str, Any] = {"n_trials": 2, "n_trials_given": False, "seed": 0, "epochs": 1, "threads": 1}
    settings |= {"monitor": "val_loss", "epoch_policy": "best", "split": "0", "data_dir": None}
    settings |= {"study_file": str(file), "overrides": Overrides(), "run_dir": str(tmp_path / "runs"), "token": "token"}
    write_settings(study, StudySettings(**settings))
    model = trial_folder(tmp_path / "runs" / "toy", 0).model
    model.parent.mkdir(parents=True)
    model.touch()
    return file


def files_of(folder: Path) -> list[Path]:
    """List what is in a folder but for the database and what it has beside itself."""
    return [path for path in folder.rglob("*") if not path.name.startswith("autotune.db")]


class Terminal(io.StringIO):
    """A terminal on which somebody has typed."""

    def isatty(self) -> bool:
        return True


def type_in(monkeypatch: pytest.MonkeyPatch, answers: str) -> Terminal:
    """Have commands run on a terminal, on which `answers` are given; returns what it shows."""
    shown = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal(answers))
    monkeypatch.setattr("sys.stderr", shown)
    return shown


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_runs_a_file_that_only_the_storage_names(
    strangers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    before = sorted(files_of(tmp_path))
    where = ["--run-dir", str(tmp_path / "runs")]
    assert main([*COMMANDS[command], *where]) == 2
    problem = capsys.readouterr().err
    assert f"the study file {strangers} has not run here before" in problem
    assert "--trust" in problem
    shown = type_in(monkeypatch, "no\n")
    assert main([*COMMANDS[command], *where]) == 2
    assert str(strangers) in shown.getvalue().partition("Run it? [y/N] ")[0]
    assert not (tmp_path / "executed").exists()
    assert sorted(files_of(tmp_path)) == before


@pytest.mark.parametrize(
    "call",
    [
        lambda run_dir: autotune.finalize("toy", run_dir=run_dir),
        lambda run_dir: autotune.learning_curve("toy", run_dir=run_dir),
        lambda run_dir: explain("toy", run_dir=run_dir),
        lambda run_dir: replay("toy", 0, run_dir=run_dir),
    ],
)
def test_from_python_it_is_refused_too(strangers: Path, tmp_path: Path, call: Callable[[Path], object]) -> None:
    with pytest.raises(UsageError, match="trust=True"):
        call(tmp_path / "runs")
    assert not (tmp_path / "executed").exists()


def test_what_the_user_has_named_is_gone_on_with_unasked_until_it_changes(
    study_file: StudyFile, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = study_file(OBJECTIVE)
    where = ["--run-dir", str(run_dir), "--workers", "1"]
    assert main(["run", str(file), "--trials", "1", *where]) == 0
    assert main(["resume", "toy", "--trials", "2", *where]) == 0
    file.write_text(file.read_text() + "# edited\n")
    capsys.readouterr()
    assert main(["resume", "toy", "--trials", "3", *where]) == 2
    assert "has changed since it last ran here" in capsys.readouterr().err
    assert main(["resume", "toy", "--trials", "3", *where, "--trust"]) == 0
    assert main(["resume", "toy", "--trials", "4", *where]) == 0  # it has run here by now
    (record,) = (tmp_path / "state" / "autotune" / "study_files").iterdir()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert len(optuna.load_study(study_name="toy", storage=sqlite_url(run_dir / "autotune.db")).trials) == 4


@pytest.mark.parametrize("answer", ["y\n", " YES \n"])
def test_a_yes_is_remembered(strangers: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    shown = type_in(monkeypatch, answer)
    source = asking_for_trust(lambda trust: source_named_by_storage(str(strangers), "toy", trust), trust=False)
    assert source.path == strangers
    assert shown.getvalue().count("Run it?") == 1
    assert source_named_by_storage(str(strangers), "toy", trust=False) == source


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "yesterday\n", "no\ny\n"])
def test_anything_else_is_a_no(strangers: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    type_in(monkeypatch, answer)
    with pytest.raises(UntrustedFileError):
        asking_for_trust(lambda trust: source_named_by_storage(str(strangers), "toy", trust), trust=False)


def test_a_file_that_changes_while_it_is_looked_at_is_asked_about_again(
    strangers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def work(trust: bool) -> StudySource:
        try:
            return source_named_by_storage(str(strangers), "toy", trust)
        finally:
            asked.append(trust)
            if len(asked) == 1:
                strangers.write_text("something_else = 1\n")

    shown = type_in(monkeypatch, "y\nn\n")
    with pytest.raises(UntrustedFileError, match="has changed"):
        asking_for_trust(work, trust=False)
    assert asked == [False, False]
    assert shown.getvalue().count("Run it?") == 2


def test_the_path_is_shown_escaped(strangers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = strangers.rename(strangers.with_name("a\x1b[2K\r\nb.py"))
    shown = type_in(monkeypatch, "n\n")
    with pytest.raises(UntrustedFileError) as refused:
        asking_for_trust(lambda trust: source_named_by_storage(str(file), "toy", trust), trust=False)
    assert r"a\x1b[2K\r\nb.py" in shown.getvalue()
    assert "\x1b" not in shown.getvalue() + str(refused.value)


@pytest.mark.parametrize("spoilt", ["lost", "garbled", "empty", "list", "another file", "no digest", "of anybody"])
def test_a_record_that_is_lost_or_garbled_or_anybodys_counts_for_nothing(strangers: Path, spoilt: str) -> None:
    folder, digest = records_folder(), study_source(strangers).digest
    assert folder is not None
    assert record_trust(strangers, digest)
    (record,) = folder.iterdir()
    contents = {
        "garbled": "\0",
        "empty": "",
        "list": "[]",
        "another file": json.dumps({"study_file": "/", "digest": digest}),
    }
    contents["no digest"] = json.dumps({"study_file": str(strangers)})
    if spoilt == "lost":
        record.unlink()
    elif spoilt == "of anybody":
        record.chmod(0o666)
    else:
        record.write_text(contents[spoilt])
    with pytest.raises(UntrustedFileError):
        source_named_by_storage(str(strangers), "toy", trust=False)
    assert record_trust(strangers, digest)  # and is written anew
    assert source_named_by_storage(str(strangers), "toy", trust=False).path == strangers


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/me"}, "/state/autotune/study_files"),
        ({"HOME": "/home/me"}, "/home/me/.local/state/autotune/study_files"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.local/state/autotune/study_files"),
        ({"XDG_STATE_HOME": "", "HOME": ""}, None),
        ({}, None),
    ],
)
def test_records_are_where_a_users_state_is(environment: dict[str, str], folder: str | None) -> None:
    assert records_folder(environment) == (Path(folder) if folder else None)


@pytest.mark.parametrize("home", ["", "/dev/null/home"])
def test_without_a_home_that_can_be_written_nothing_is_remembered_and_the_refusal_says_so(
    strangers: Path, study_file: StudyFile, run_dir: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", home)
    monkeypatch.setenv("HOME", home)
    with pytest.raises(UntrustedFileError, match="no home folder" if not home else "cannot be written"):
        source_named_by_storage(str(strangers), "toy", trust=False)
    assert source_named_by_storage(str(strangers), "toy", trust=True).path == strangers
    type_in(monkeypatch, "y\n")  # once, and not for ever
    assert asking_for_trust(lambda trust: source_named_by_storage(str(strangers), "toy", trust), trust=False)


@pytest.mark.parametrize("what", ["missing", "folder", "device", "pipe"])
def test_what_is_no_file_is_neither_read_nor_run(tmp_path: Path, what: str) -> None:
    path = tmp_path / "study.py" if what != "device" else Path("/dev/zero")
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    with pytest.raises(UsageError, match="no longer there"):
        source_named_by_storage(str(path), "toy", trust=True)


@pytest.mark.parametrize("content", [b"a secret that is no Python", b"-" * 200_000 + b"1", "too large"])
def test_a_file_that_is_not_trusted_is_not_parsed(tmp_path: Path, content: bytes | str) -> None:
    file = tmp_path / "study.py"
    file.write_bytes(content if isinstance(content, bytes) else b"")
    if isinstance(content, str):
        os.truncate(file, 2**33)  # without a byte of it on disk
    with pytest.raises(UsageError) as caught:
        source_named_by_storage(str(file), "toy", trust=False)
    assert isinstance(caught.value, UntrustedFileError) or "bytes" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_stands_in_the_place_of_a_model_is_not_waited_for(
    strangers: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    model = trial_folder(tmp_path / "runs" / "toy", 0).model
    model.unlink()
    make(model)
    with pytest.raises(UsageError, match="no trial of 'toy' has kept its model"):
        explain("toy", run_dir=tmp_path / "runs", trust=True)
