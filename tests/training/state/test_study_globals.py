"""What functions of a study file change at its top level is restored in a resumed trial."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autotune.study import StudySpec
from autotune.training.state import StudyGlobals

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
THIS = sys.modules[__name__]
CHANCE = np.random.default_rng(0)
SEEN: list[float] = []
LARGE = np.zeros(10**6)


def score(model: Any, rows: Any) -> dict[str, float]:
    SEEN.append(CHANCE.normal())
    return {"chance": sum(SEEN)}


def with_numpys_own(model: Any, rows: Any) -> dict[str, float]:
    return {"chance": score(model, rows)["chance"] + np.random.random()}  # each epoch has a seed of its own


def test_values_that_change_are_copied_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    as_in_a_new_process(monkeypatch)
    values = StudyGlobals([None, functools.partial(score, None), print])
    assert values.changed() == {}
    score(None, None)
    LARGE[0] += 1  # data: not looked at
    found = values.changed()
    assert {key.partition("\n")[2] for key in found} == {"CHANCE", "SEEN"}
    expected = score(None, None)
    as_in_a_new_process(monkeypatch)
    values.put_back({**found, f"{__name__}\nscore": 1, f"{__name__}\n__doc__": "", "os\nname": ""})
    assert score(None, None) == expected
    assert __doc__


def as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(THIS, "CHANCE", np.random.default_rng(0))
    monkeypatch.setattr(THIS, "SEEN", [])


@pytest.mark.parametrize("k", [1, 2])
def test_an_interrupted_trial_goes_on_with_them(
    k: int,
    new_bench: Callable[[], Bench],
    study_of: Callable[..., StudySpec],
    interrupted: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = study_of(score=with_numpys_own, monitor="chance", **({"k": k} if k > 1 else {}))
    whole, torn = new_bench(), new_bench()
    as_in_a_new_process(monkeypatch)
    expected = whole.train(spec)
    torn.study.enqueue_trial(whole.study.trials[0].params)
    as_in_a_new_process(monkeypatch)
    with pytest.raises(interrupted):
        torn.train(spec, interrupt_after=3 if k > 1 else 2)  # with folds after the last epoch of the first one
    as_in_a_new_process(monkeypatch)
    assert torn.train(spec).folds == expected.folds
