"""The scripts of docs/objectives.md go on where they were, and run with Optuna alone."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import optuna
import pytest

import autotune

pytestmark = [pytest.mark.trains, pytest.mark.long]

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "objectives.md").read_text()
SCRIPTS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NAMES = [re.findall(r'name="(\w+)", objective', script)[0] for script in SCRIPTS]

# Kills the process of each trial once, when it has written its third checkpoint.
KILLING = """
import os
import signal
from pathlib import Path

from autotune.running.trial import keeping

save = keeping.TrialKeeper.save

def save_and_die(keeper, name, kept, *rest):
    save(keeper, name, kept, *rest)
    killed = Path(__file__).with_name(f"killed-{keeper._trial.number}")
    if kept.step == 3 and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)

keeping.TrialKeeper.save = save_and_die
"""


def _table(study: optuna.Study) -> list[Any]:
    return [(t.number, t.state.name, t.params, t.value, t.intermediate_values) for t in study.get_trials()]


def _changed(script: str) -> int:
    return len(re.findall(r"# (?:new|changed)$", script, re.MULTILINE))


@pytest.mark.parametrize(
    "script", [SCRIPTS[0], *(pytest.param(script, marks=pytest.mark.slow) for script in SCRIPTS[1:])], ids=NAMES
)
def test_a_script_that_is_killed_ends_with_the_same_numbers(script: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole" / "study.py", tmp_path / "killed" / "study.py"
    for file, code in ((whole, script), (killed, script + KILLING)):
        file.parent.mkdir()
        file.write_text(code)
    assert f"autotune run {NAMES[SCRIPTS.index(script)]}.py\n" in PAGE
    expected = _table(autotune.run(whole, run_dir=whole.parent / "runs", workers=1, n_trials=1))
    assert {state for _, state, *_ in expected} <= {"COMPLETE", "PRUNED"}
    assert _table(autotune.run(killed, run_dir=killed.parent / "runs", workers=1, n_trials=1)) == expected
    assert list(killed.parent.glob("killed-*"))


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_a_script_runs_with_optuna_alone(script: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(script)
    objective = runpy.run_path(str(tmp_path / "script.py"))["objective"]
    study = optuna.create_study(direction="maximize")
    study.optimize(objective, n_trials=1)
    assert study.best_value > 0
    assert len(study.trials[0].intermediate_values) >= 3


def test_the_page_has_three_scripts_with_few_changed_lines() -> None:
    assert len(SCRIPTS) == 3
    assert [_changed(script) for script in SCRIPTS] == [5, 2, 5]
