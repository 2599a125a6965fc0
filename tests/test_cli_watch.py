"""`autotune status NAME --watch` as a person meets it: on a terminal of 40 columns, in a pipe, and by mistake."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import optuna
import pytest
from command_line import autotune

pytestmark = pytest.mark.usefixtures("no_places_from_outside")

TOY = """
from pathlib import Path
import optuna
from autotune import StudySpec

HERE = Path(__file__).parent

def objective(trial):
    trial.report(0.25, 1)
    if trial.number == 0:
        (HERE / "begun").write_text("")  # a pipe: both sides wait for each other
        (HERE / "go").read_text()
    return 0.5

study = StudySpec(name="toy", objective=objective, direction="minimize", n_trials=2, seed=0)
"""
AUTOTUNE = [sys.executable, "-m", "autotune"]
WATCH = [*AUTOTUNE, "status", "toy", "--watch"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.py").write_text(TOY)
    for pipe in ("begun", "go"):
        os.mkfifo(tmp_path / pipe)
    return tmp_path


@pytest.fixture
def running(here: Path) -> Iterator[subprocess.Popen[str]]:
    """Give a command that runs the study: its first trial has reported, and waits for the pipe `go`."""
    command = [*AUTOTUNE, "run", "toy.py", "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        (here / "begun").read_text()
        yield process
        process.kill()


def watch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*WATCH, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def read_until(terminal: int, pattern: str) -> str:
    """Read a terminal until what it shows matches `pattern`."""
    shown = ""
    while not re.search(pattern, shown):
        shown += os.read(terminal, 4096).decode()  # raises an error if the command has ended
    return shown


def test_a_terminal_shows_a_study_that_runs_elsewhere_until_ctrl_c(
    running: subprocess.Popen[str],
) -> None:
    # Not None, with which it would inherit the size that libreadline sets behind Python's back.
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment["TERM"] = "xterm"
    main, side = os.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 40, 0, 0))
    with ExitStack() as stack:
        stack.callback(os.close, main)
        process = stack.enter_context(subprocess.Popen(WATCH, stdin=side, stdout=side, stderr=side, env=environment))
        stack.callback(process.kill)
        shown = read_until(main, r"value\s+best[\s\S]+0\.25\s+0\.25")
        assert "toy: 0/2 finished" in shown
        assert "\x1b[?25l" in shown
        lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", shown))
        assert max(map(len, lines)) <= 40
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert "\x1b[?25h" in os.read(main, 4096).decode()
        os.close(side)


def test_a_pipe_gets_plain_lines_until_the_study_has_ended(running: subprocess.Popen[str], here: Path) -> None:
    with subprocess.Popen(WATCH, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "toy: 0 of 2 trials finished; 1 slot\n"
        (here / "go").write_text("")
        others = process.stdout.read()
    assert process.returncode == 0
    assert "trial 0 complete 0.5, " in others
    assert "[2/2]" in others
    assert "toy has ended, 2 of 2 trials finished.\nBest value: 0.5" in others
    assert "\x1b" not in others


def test_a_study_that_nobody_runs_any_more_is_said_to_be_so(running: subprocess.Popen[str]) -> None:
    running.send_signal(signal.SIGINT)
    assert running.wait() == 130
    done = watch()
    assert done.returncode == 0
    assert "Nobody runs toy now: 0 of 2 trials finished.\nGo on:  autotune resume toy\n" in done.stdout


def test_mistakes_are_plain(here: Path) -> None:
    optuna.create_study(study_name="foreign", storage=f"sqlite:///{here}/other.db")
    for arguments, words in (
        (["status", "--watch"], "needs the name of a study"),
        (["status", "toy", "--watch", "--json"], "--watch and --json do not go together"),
        (["status", "toy", "--watch"], "does not exist"),
        (["status", "foreign", "--watch", "--storage", f"sqlite:///{here}/other.db"], "never run by this package"),
    ):
        done = autotune(*arguments)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_the_command_that_runs_a_study_is_counted(running: subprocess.Popen[str]) -> None:
    done = autotune("status", "toy", "--json")
    assert done.returncode == 0
    status = json.loads(done.stdout)
    assert (status["running"], status["workers"], status["n_trials"]) == (1, 1, 2)
