"""What a plain objective has returned is found by the next process of the same trial, and by no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from autotune.running.study.settings import Overrides
from autotune.running.study.source import StudySource
from autotune.running.trial.answering import Replay, answer
from autotune.running.trial.kept_result import KeptResult
from autotune.running.trial.piped_trial import PipedTrial
from autotune.running.trial.requests import Request


class _Parent(Replay):
    """A parent that may be killed, or wait for its storage, at any moment."""

    is_gone = False

    def send(self, request: Request) -> None:
        if self.is_gone:
            raise BrokenPipeError
        super().send(request)


def _source(code: bytes = b"code", **overrides: Any) -> StudySource:
    return StudySource(None, code, code, needs_keras=False, overrides=Overrides(**overrides))


def _ask(trial: PipedTrial) -> dict[str, Any]:
    asked: Any = trial
    return {
        "x": asked.suggest_float("x", 0.25, 1),
        "n": asked.suggest_int("n", 2, 8, step=2),
        "kind": asked.suggest_categorical("kind", [(3, 3), None]),
    }


def test_a_number_that_was_given_is_kept_as_storages_have_it(tmp_path: Path) -> None:
    for given, stored in (({"x": 1, "n": 4.0}, {"x": 1.0, "n": 4}), ({"x": True, "n": 4}, {"x": 1.0, "n": 4})):
        parent = _Parent(given, 3)
        first: Any = PipedTrial(parent)
        first._stored_params = {}  # a trial that begins: what is given is stored when it is asked for
        kept = KeptResult(tmp_path / "result.json", _source(), 0, first)
        first.suggest_float("x", 0, 1)
        first.suggest_int("n", 2, 8)
        kept.write(0.125)
        assert KeptResult(tmp_path / "result.json", _source(), 0, PipedTrial(_Parent(stored, 3))).read() == 0.125


@pytest.mark.parametrize("stored", [{}, {"x": 0.5, "n": 4, "kind": None, "not asked for again": 1}])
def test_a_value_is_kept_when_the_parent_is_gone_already(tmp_path: Path, stored: dict[str, Any]) -> None:
    parent = _Parent(stored, 3)
    trial = PipedTrial(parent)
    kept = KeptResult(tmp_path / "new" / "result.json", _source(), 0, trial)
    assert kept.read() is None
    params = _ask(trial)
    parent.is_gone = True
    kept.write(0.125)
    in_storage = stored | params | ({"kind": [3, 3]} if params["kind"] is not None else {})
    again = PipedTrial(_Parent(in_storage, 3))
    assert KeptResult(tmp_path / "new" / "result.json", _source(), 0, again).read() == 0.125


def test_what_a_parent_may_not_have_written_down_is_told_to_the_next(tmp_path: Path) -> None:
    def tell(trial: Any) -> None:
        trial.report(0.1 + 0.2, 1)
        trial.set_user_attr("note", {"a": [1, None]})
        trial.set_constraint("memory", -1.0)
        trial.report(float("nan"), 2)

    told = PipedTrial(_Parent({}, 3))
    kept = KeptResult(tmp_path / "result.json", _source(), 0, told)
    assert kept.read() is None
    tell(told)
    kept.write(0.125)
    study = optuna.create_study()
    trial = study.ask()

    class Next(_Parent):
        def send(self, request: Request) -> None:
            super().send(request)
            if request.name in ("report", "set_user_attr", "set_constraint"):
                assert answer(trial, request)[0] == "value"

    again = PipedTrial(Next({}, 3))
    assert KeptResult(tmp_path / "result.json", _source(), 0, again).read() == 0.125
    (stored,) = study.get_trials()
    assert stored.intermediate_values.keys() == {1, 2}
    assert stored.intermediate_values[1] == 0.1 + 0.2
    assert stored.user_attrs == {"note": {"a": [1, None]}}
    assert trial.constraints == {"memory": -1.0}


@pytest.mark.parametrize(
    ("source", "seed", "number", "x"),
    [
        (_source(b"other code"), 0, 3, 0.25),
        (_source(epochs=3), 0, 3, 0.25),
        (_source(), 1, 3, 0.25),
        (_source(), 0, 4, 0.25),
        (_source(), 0, 3, 0.5),
    ],
)
def test_a_value_of_another_trial_or_code_is_not_used(
    tmp_path: Path, source: StudySource, seed: int, number: int, x: float
) -> None:
    KeptResult(tmp_path / "result.json", _source(), 0, PipedTrial(Replay({"x": 0.25}, 3))).write(0.125)
    assert KeptResult(tmp_path / "result.json", source, seed, PipedTrial(Replay({"x": x}, number))).read() is None


def test_parameters_are_those_of_the_storage_however_often_they_are_asked_for() -> None:
    study = optuna.create_study()
    study.enqueue_trial({"x": 0.75})
    trial = study.ask()
    assert trial.params == {}
    asked = PipedTrial(Replay({}, 0))
    assert asked.params == {}
    assert asked.params | _ask(asked) == asked.params == {"x": 0.25, "n": 2, "kind": (3, 3)}
