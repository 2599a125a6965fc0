"""The configurations that are chosen from earlier studies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from autotune.search.curves import Training
from autotune.search.transfer import Earlier, earlier_of, portfolio

SPACE = {"x": FloatDistribution(0.0, 1.0), "kind": CategoricalDistribution(["a", "b"])}
POINTS = [number / 15 for number in range(16)]
Value = Callable[[float, str], float]


def study_of(
    value: Value, xs: Sequence[float] = POINTS, direction: str = "maximize", name: str = "one"
) -> optuna.Study:
    study = optuna.create_study(direction=direction, study_name=name)
    for number, x in enumerate(xs):
        kind = "ab"[number % 2]
        study.add_trial(create_trial(params={"x": x, "kind": kind}, distributions=SPACE, value=value(x, kind)))
    return study


def earlier(study: optuna.Study, confirmed: dict[int, float] | None = None) -> Earlier:
    found = earlier_of(study, Training(1), confirmed)
    assert found is not None
    return found


def peak(at: float) -> Value:
    return lambda x, kind: -abs(x - at) - (0.1 if kind == "b" else 0.0)


def test_the_first_is_good_in_all_studies_and_the_next_ones_cover_them() -> None:
    studies = [earlier(study_of(peak(at), name=str(at))) for at in (0.0, 0.25, 0.3, 1.0)]
    first, second, *_ = portfolio(studies)
    assert 0.1 < first.params["x"] < 0.5
    assert second.params["x"] > 0.85
    assert len({repr(one.params) for one in portfolio(studies)}) == 5
    assert portfolio(studies, most=2) == [first, second]


def test_an_origin_names_the_study_and_the_trial() -> None:
    (origin,) = portfolio([earlier(study_of(peak(1.0), name="old"))], most=1)
    assert (origin.study, origin.trial) == ("old", 14)
    assert origin.params == {"x": POINTS[14], "kind": "a"}


def test_a_minimum_is_the_best_where_small_values_are() -> None:
    (origin,) = portfolio([earlier(study_of(peak(1.0), direction="minimize"))], most=1)
    assert origin.params["x"] < 0.1


def test_what_was_confirmed_comes_before_what_was_merely_best() -> None:
    study = study_of(peak(1.0))
    (origin,) = portfolio([earlier(study, {2: 0.3, 4: 0.5})], most=1)
    assert origin.trial == 4
    minimized = study_of(peak(1.0), direction="minimize")
    assert earlier(minimized, {2: 0.3, 4: 0.5}).numbers[:2] == [2, 4]


def test_a_trial_that_was_stopped_comes_first_if_it_is_expected_to_end_best() -> None:
    study = optuna.create_study(direction="maximize")
    for number, x in enumerate(POINTS):
        is_stopped = number == 12
        reports = {epoch: x * (1 - math.exp(-epoch / 4)) for epoch in range(1, 8 if is_stopped else 21)}
        study.add_trial(
            create_trial(
                state=TrialState.PRUNED if is_stopped else TrialState.COMPLETE,
                params={"x": x if number <= 12 else 0.3, "kind": "a"},
                distributions=SPACE,
                value=reports[max(reports)] if number <= 12 else 0.2,
                intermediate_values=reports if number <= 12 else {20: 0.2},
            )
        )
    found = earlier_of(study, Training(20))
    assert found is not None
    assert found.numbers[0] == 12


def test_a_study_of_few_trials_gives_them_in_their_order() -> None:
    (*_, last) = portfolio([earlier(study_of(peak(0.0), xs=[0.9, 0.1, 0.5]))])
    assert [one.params["x"] for one in portfolio([earlier(study_of(peak(0.0), xs=[0.9, 0.1, 0.5]))])] == [0.1, 0.5, 0.9]
    assert last.params["x"] == 0.9


@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.WAITING])
def test_a_study_without_values_gives_nothing(state: TrialState) -> None:
    study = optuna.create_study()
    for x in POINTS:
        study.add_trial(create_trial(state=state, params={"x": x}, distributions={"x": SPACE["x"]}))
    assert earlier_of(study, Training(1)) is None


def test_a_configuration_that_failed_is_not_taken_over() -> None:
    study = study_of(peak(1.0))
    failed = {"x": 0.99, "kind": "a"}
    study.add_trial(
        create_trial(state=TrialState.FAIL, params=failed, distributions=SPACE, user_attrs={"failure": "oom"})
    )
    assert failed not in earlier(study).configurations


def test_values_are_moved_into_the_new_space_and_equal_ones_are_taken_once() -> None:
    studies = [earlier(study_of(peak(1.0)))]
    space = {"x": FloatDistribution(0.0, 0.5), "kind": CategoricalDistribution(["a", "c"])}
    found = portfolio(studies, space)
    assert [one.params for one in found] == [{"x": 0.5, "kind": "a"}, {"x": 0.5}]
    assert portfolio(studies, {"other": SPACE["x"]}) == []
    assert portfolio([]) == []


def test_studies_of_other_spaces_are_compared_by_the_names_that_they_share() -> None:
    other = optuna.create_study(direction="minimize", study_name="other")
    for x in POINTS:
        space: dict[str, Any] = {"x": FloatDistribution(-1.0, 2.0), "z": SPACE["x"]}
        other.add_trial(create_trial(params={"x": x, "z": 0.5}, distributions=space, value=(x - 0.5) ** 2))
    found = portfolio([earlier(study_of(peak(0.5))), earlier(other)], SPACE, most=2)
    assert all(abs(one.params["x"] - 0.5) < 0.15 for one in found)
    assert {tuple(one.params) for one in found} <= {("x", "kind"), ("x",)}
