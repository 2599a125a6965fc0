"""The code of a study has one digest in all processes, and another one when it has changed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autotune.running.study.source import digest_of_code, study_source
from autotune.study import StudySpec

CODE = """
import functools, sys
import autotune
from autotune.running.study.source import digest_of_code, study_source

def objective(trial, factor=1):
    known = [one for one in "abc" if one in {"a", "b", "c"}]
    return trial.suggest_float("x", 0, CONSTANT) * len(known) * factor

spec = autotune.StudySpec(name="toy", objective=objective, direction="minimize", n_trials=1)
print(digest_of_code(study_source(spec), spec))
"""


def test_a_function_has_one_digest_in_all_processes(script: Callable[..., Any]) -> None:
    runs = [script(CODE.replace("CONSTANT", constant)) for constant in ("1", "1", "1", "2")]
    first, second, third, changed = (run.communicate()[0] for run in runs)
    assert first == second == third != changed
    assert len(first.strip()) == 64


def spec_of(objective: Any) -> StudySpec:
    return StudySpec(name="toy", objective=objective, direction="minimize", n_trials=1)


class Callable0:
    def __call__(self, trial: Any) -> float:
        return 0.0


class Callable1:
    def __call__(self, trial: Any) -> float:
        return 1.0


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: functools.partial(one)])
def test_any_callable_has_a_digest_of_its_own(wrap: Callable[[Any], Any]) -> None:
    digests = [
        digest_of_code(study_source(spec), spec)
        for one in (Callable0(), Callable0(), Callable1(), lambda trial: 0.0, lambda trial: 1.0)
        for spec in [spec_of(wrap(one))]
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_a_study_file_has_the_digest_of_its_text(tmp_path: Path) -> None:
    for name, text in (("one", "a = 1"), ("same", "a = 1"), ("other", "a = 2")):
        (tmp_path / f"{name}.py").write_text(text)
    one, same, other = (study_source(tmp_path / f"{name}.py") for name in ("one", "same", "other"))
    spec = spec_of(lambda trial: 0.0)
    assert digest_of_code(one, spec) == digest_of_code(same, spec) == one.digest
    assert digest_of_code(other, spec) != one.digest
