"""The scripts that people run: short versions of the long ones, and the launchers as they stand."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from command_line import autotune

from autotune.training.records.timing import Phase

ROOT = Path(__file__).resolve().parent.parent
TOY = """
from autotune import StudySpec


def objective(trial):
    return trial.suggest_float("x", -1.0, 1.0) ** 2


study = StudySpec(name="toy", objective=objective, direction="minimize", n_trials=3, seed=0)
"""


def python(script: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / script), *arguments]
    return subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.long
@pytest.mark.parametrize(
    "storage",
    [
        "sqlite",
        "postgresql",
        pytest.param("journal", marks=pytest.mark.slow),  # tests/running/engine/test_run_ray.py has two nodes on it
    ],
)
def test_several_parents_and_a_dashboard_share_a_storage(tmp_path: Path, storage: str, request: Any) -> None:
    if storage == "postgresql":
        request.getfixturevalue("postgres_url")  # skips where there is none
    options = ["--storage", storage, "--slots", "4", "--parents", "2", "--trials", "24", "--seconds", "0.1"]
    result = python("stress_storage.py", *options, "--machines", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "NOT SO" not in result.stdout


@pytest.mark.long
def test_the_cost_of_a_study_is_measured(tmp_path: Path) -> None:
    options = ["--storages", "sqlite", "--trials", "10", "--reports", "3", "--measured", "2"]
    result = python("benchmark_study_size.py", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    for part in ("ask", "reports", "tell", "whole", "autotune status", "autotune best", "autotune report"):
        assert re.search(rf"{part} +[a-z]* +\d+\.\d|{part} \d+\.\d", result.stdout), result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["sqlite", "postgresql", "journal", "grpc"])
def test_four_parents_make_exactly_200_trials(tmp_path: Path, storage: str) -> None:
    options = ["--storage", storage, "--slots", "4", "--parents", "4", "--trials", "200", "--machines"]
    result = python("stress_storage.py", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_sixteen_slots_make_exactly_320_trials(tmp_path: Path) -> None:
    result = python("stress_storage.py", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.long
def test_a_study_survives_a_little_chaos(tmp_path: Path, postgres_url: str) -> None:
    result = python("chaos.py", "--seconds", "8", "--trials", "10", "--seed", "1", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Equal, bit for bit, to a quiet run: 10 of 10 trials" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("study", ["toy", "keras"])
def test_a_study_survives_ten_minutes_of_chaos(tmp_path: Path, postgres_url: str, study: str) -> None:
    result = python("chaos.py", "--study", study, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.long
def test_the_scaling_benchmark_prints_each_storage_beside_the_ideal(tmp_path: Path) -> None:
    options = ["--storages", "sqlite,journal", "--slots", "2", "--seconds", "0.1", "--rounds", "1"]
    result = python("benchmark_scaling.py", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(re.findall(r"^ +2 +\d+\.\d +\d+\.\d +\d+\.\d%$", result.stdout, re.M)) == 2


# test_run_folds.py and test_run_any_rows.py of tests/running/engine kill and stop trials of Keras, and
# test_run_interruptions.py kills and stops commands.
@pytest.mark.slow
def test_a_search_killed_and_stopped_at_random_moments_ends_with_the_same_numbers(tmp_path: Path) -> None:
    options = ["--times", "2", "--trials", "2", "--epochs", "30", "--seed", "5"]
    result = python("check_interruptions.py", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Equal, bit for bit." in result.stdout


@pytest.mark.slow
def test_twenty_interruptions_change_nothing(tmp_path: Path) -> None:
    result = python("check_interruptions.py", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.long
@pytest.mark.trains
def test_the_overhead_benchmark_prints_every_share(tmp_path: Path) -> None:
    result = python("benchmark_overhead.py", "--trials", "1", "--epochs", "2", "--starts", "1", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert re.search(r"start of a trial process: median \d+ ms", result.stdout)
    shares = dict(re.findall(r"^(\S.*?) +\d+ +(\d+\.\d)$", result.stdout, re.MULTILINE))
    assert set(shares) == set(get_args(Phase))
    assert sum(map(float, shares.values())) == pytest.approx(100, abs=1)
    assert float(shares["training"]) > 0
    assert re.search(r"all trials by all bare loops: \d+\.\d+ by the clock, \d+\.\d+ in CPU time", result.stdout)


@pytest.mark.long
@pytest.mark.trains
def test_quickstart_beats_the_baseline_and_says_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = python("quickstart.py", "--trials", "4", cwd=tmp_path, AUTOTUNE_RUN_DIR=str(tmp_path / "runs"))
    assert result.returncode == 0, result.stderr
    assert re.search(r"Best val_accuracy: 0\.9\d+|Best val_accuracy: 1\.0", result.stdout)
    assert re.search(r"same split: 0\.9\d+ \(beaten\)", result.stdout)
    commands = [shlex.split(line) for line in re.findall(r"^  (\S*/.*autotune'? .*)", result.stdout, re.MULTILINE)]
    assert {Path(words[0]).name for words in commands} == {"autotune"}  # in a folder whose name may have spaces
    assert [words[1] for words in commands] == ["dashboard", "best", "resume"]
    monkeypatch.chdir(tmp_path)
    assert autotune(*commands[1][1:]).returncode == 0


def test_the_python_launcher_runs_a_study(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(TOY)
    result = python("launch_study.py", "toy.py", "4", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert re.match(r"toy: \S+ with {'x': ", result.stdout.splitlines()[-1])
    assert python("launch_study.py", "nowhere.py", cwd=tmp_path).returncode == 1


def test_the_shell_launcher_runs_a_study_and_prints_json(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "autotune"  # the command of this environment, wherever it is
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m autotune "$@"\n')
    command.chmod(0o755)
    result = subprocess.run(
        ["bash", str(ROOT / "scripts" / "launch_study.sh"), "toy.py", "named", "4"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout[result.stdout.index("{\n") :])["study"] == "named"


MEMORY = """
import sys
import autotune
import psutil

seen = {}


def note(event):
    if type(event).__name__ == "TrialEnded":
        seen[len(seen) + 1] = psutil.Process().memory_info().rss


if __name__ == "__main__":
    autotune.run(sys.argv[1], n_trials=110, workers=4, observer=note)
    print(seen[20], seen[110])
"""


def test_the_parent_does_not_grow_from_trial_to_trial(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "memory.py").write_text(MEMORY)
    command = [sys.executable, "memory.py", "toy.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    early, late = map(int, result.stdout.split())
    assert abs(late - early) < 0.05 * early, f"{early} bytes after 20 trials, {late} after 110"


def test_versions_are_checked_by_tests_that_are_there(tmp_path: Path) -> None:
    result = python("check_versions", "--list", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    named, bounds = result.stdout.split("\n\n")
    assert len(named.splitlines()) > 10
    assert all((ROOT / path).exists() for path in named.splitlines())
    assert {"optuna==5.0", "keras==3.10", "tensorflow==2.20"} <= set(bounds.splitlines())


@pytest.mark.slow
def test_the_structure_of_the_package_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/structure.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    measured = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines())
    n_files = len(list((ROOT / "autotune").rglob("*.py")))
    assert measured["files"] == str(n_files)
    assert 50 < int(measured["files of one trial"]) < n_files  # in the parent, the fork server and the trial process
