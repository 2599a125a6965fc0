"""The trials that began with configurations of earlier studies."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from autotune.search.history import LEARNED_FROM
from autotune.search.transfer import Origin, TakenOver, origin_of, taken_over, worth


def trial(number: int, noted: Any, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    value = float(number) if state == TrialState.COMPLETE else None
    params = {} if state == TrialState.WAITING else {"x": 0.5}
    space = {"x": FloatDistribution(0.0, 1.0)} if params else {}
    made = create_trial(state=state, value=value, params=params, distributions=space, user_attrs={LEARNED_FROM: noted})
    made.number = number
    return made


def test_each_is_listed_with_its_value_and_its_origin() -> None:
    noted = asdict(Origin("old", 7, {"x": 0.5}))
    waiting, running = trial(1, noted, TrialState.WAITING), trial(2, noted, TrialState.RUNNING)
    assert taken_over([trial(0, noted), waiting, running, create_trial(value=3.0)]) == [
        TakenOver(0, 0.0, "old", 7),
        TakenOver(2, None, "old", 7),
    ]


def test_a_trial_that_could_take_nothing_over_is_none_of_them() -> None:
    assert taken_over([trial(0, asdict(Origin("old", 7, {"x": [1, 2]})))]) == []
    assert taken_over([trial(0, asdict(Origin("old", 7, {"y": 0.5})))]) == []


@pytest.mark.parametrize("noted", ["old", {"study": "old"}, {"study": "old", "trial": "7", "params": {}}, [1]])
def test_what_no_version_of_ours_wrote_is_no_origin(noted: Any) -> None:
    assert origin_of(trial(0, noted)) is None


@pytest.mark.parametrize(("best", "words"), [(0, "is one of these"), (5, "is none of these"), (None, "of old)")])
def test_it_is_said_whether_the_best_is_one_of_them(best: int | None, words: str) -> None:
    assert words in worth([TakenOver(0, 0.5, "old", 7)], best)
    assert worth([], best) == ""
