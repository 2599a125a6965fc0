"""The next search: what follows from the last one, as lines that run."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from autotune.cli import main
from autotune.errors import UsageError
from autotune.results.advice.refining import refine
from autotune.results.advice.story import story_of
from autotune.running.storages.opening import open_storage


def search(tmp_path: Path, objective: Callable[[optuna.Trial], float], n_trials: int) -> str:
    """Search, and return the URL of the storage: a journal, which opens sooner than a database."""
    url = f"journal:///{tmp_path / 'study.log'}"
    study = optuna.create_study(
        storage=open_storage(url), study_name="toy", sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(objective, n_trials=n_trials)
    return url


def objective(trial: optuna.Trial) -> float:
    trial.suggest_float("dead", 0.0, 1.0)
    inside = trial.suggest_float("inside", 1e-4, 1.0, log=True)
    beyond = trial.suggest_int("beyond", 1, 10)
    return 3 * abs(math.log10(inside) + 2) - 0.3 * beyond


def test_it_widens_narrows_and_fixes_and_its_lines_run(tmp_path: Path) -> None:
    found = refine(story_of("toy", storage=search(tmp_path, objective, 120), run_dir=tmp_path))
    lines = {one.name: one.line for one in found.hyperparameters}
    assert lines["dead"].startswith("dead = 0.")
    assert lines["beyond"] == "beyond = trial.suggest_int('beyond', 1, 15)"
    namespace = {"trial": optuna.create_study().ask()}
    for line in lines.values():
        exec(line, namespace)
    trial = namespace["trial"]
    narrowed = trial.distributions["inside"]
    assert 1e-4 < narrowed.low < 0.01 < narrowed.high < 1.0
    assert narrowed.log
    assert found.enqueue
    assert all(set(params) == {"inside", "beyond"} for params in found.enqueue)


def test_few_trials_leave_the_ranges_as_they_are_and_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = search(tmp_path, objective, 6)
    assert main(["refine", "toy", "--storage", url, "--run-dir", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "inside = trial.suggest_float('inside', 0.0001, 1.0, log=True)" in printed
    assert "Run more trials" in printed
    assert printed.count("    {'dead': ") == 3


def test_nothing_complete_is_told(tmp_path: Path) -> None:
    url = search(tmp_path, lambda trial: float("nan") * trial.suggest_float("x", 0, 1), 3)
    with pytest.raises(UsageError, match="no trial of 'toy' is complete"):
        refine(story_of("toy", storage=url, run_dir=tmp_path))
