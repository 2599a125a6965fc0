"""What a study file gives itself is held against its space: before it begins, or as soon as its trials show it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from autotune import Dataset, StudySpec
from autotune.errors import SearchSpaceError
from autotune.running.engine.given_trials import GivenTrials, OutsideError
from autotune.running.tracking.events import Event, Note
from autotune.running.trial.given_configurations import configurations, contains
from autotune.running.trial.search_space import check_given
from autotune.search.history import describe

DATA = Dataset(np.zeros((4, 2), np.float32), np.zeros(4, np.int64))


def build(trial: optuna.Trial, data: Dataset) -> None:
    """Ask for a space with branches within branches."""
    trial.suggest_float("dropout", 0, 0.5)
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    if kind == "c" and trial.suggest_int("depth", 1, 3) == 3:
        trial.suggest_categorical("size", [(2, 2), (4, 4)])


def problems(build: Callable[..., Any] = build, **given: Any) -> list[str]:
    spec = StudySpec(name="toy", dataset=lambda: DATA, build=build, monitor="val_loss", direction="minimize", **given)
    return check_given(spec, DATA).problems


@pytest.mark.parametrize(
    "enqueue",
    [
        {},
        {"dropout": 0},
        {"depth": 2},  # only of kind c, which is still to be suggested
        {"size": (4, 4)},
        {"kind": "c", "depth": 3, "size": [4, 4], "dropout": np.float32(0.25)},
        {"depth": np.int64(3), "size": np.array([2, 2])},
    ],
)
def test_what_may_be_suggested_fits_on_whatever_branch(enqueue: dict[str, Any]) -> None:
    assert problems(enqueue=[enqueue]) == []


@pytest.mark.parametrize(
    ("enqueue", "problem"),
    [
        ({"dropuot": 0.1}, "enqueue[0]: dropuot is not asked for; there is dropout, kind"),
        ({"kind": "a", "dropout": 0.1, "depth": 2}, "enqueue[0]: depth is not asked for; there is dropout, kind"),
        (
            {"dropout": 0.7},
            "enqueue[0]: dropout=0.7 is not a float from 0 to 0.5",
        ),
        ({"dropout": "0.1"}, "enqueue[0]: dropout='0.1' is not a float"),
        ({"dropout": None}, "enqueue[0]: dropout=None is not a float"),
        ({"kind": "d"}, "enqueue[0]: kind='d' is not one of 'a', 'b', 'c'"),
        (
            {"kind": "c", "depth": 2.7},
            "enqueue[0]: depth=2.7 is not an integer from 1 to 3",
        ),
        ({"kind": "c", "depth": 3, "size": (3, 3)}, "enqueue[0]: size=[3, 3] is not one of [2, 2], [4, 4]"),
    ],
)
def test_what_fits_on_no_branch_is_told(enqueue: dict[str, Any], problem: str) -> None:
    (found,) = problems(enqueue=[enqueue])
    assert found.startswith(problem)


def test_a_baseline_is_whole() -> None:
    assert problems(baseline={"dropout": 0.1, "kind": np.str_("a")}) == []
    found = problems(baseline={"dropout": 0.1, "depth": 1})
    assert [line.partition(":")[0] for line in found] == ["baseline", "baseline"]
    assert "kind is missing" in found[0]
    assert "depth is not asked for" in found[1]


def test_a_name_is_looked_for_on_few_branches_only() -> None:
    built = []

    def wide(trial: optuna.Trial, data: Dataset) -> None:
        built.append(1)
        for name in "abcdefgh":
            trial.suggest_int(name, 0, 7)

    assert len(problems(wide, enqueue=[{"z": 1}])) == 1
    assert len(built) < 40


@pytest.mark.parametrize("value", [{1, 2}, object(), b"a", [print]])
def test_what_no_storage_keeps_is_refused_with_its_name(value: Any) -> None:
    with pytest.raises(SearchSpaceError, match=r"enqueue\[1\] gives 'size' a value that no search space can have"):
        configurations(None, [{"size": 1}, {"size": value}])
    with pytest.raises(SearchSpaceError, match="baseline gives 'size'"):
        configurations({"size": value}, [])


def test_a_name_is_a_string() -> None:
    with pytest.raises(SearchSpaceError, match="3 cannot name a hyperparameter of baseline"):
        configurations({3: 1}, [])


@pytest.mark.parametrize(
    ("distribution", "inside", "outside"),
    [
        (IntDistribution(1, 9, step=2), [1, 3.0, 9], [2, 0, 11, 2.7, "3", None, [3], float("nan"), 10**400]),
        (FloatDistribution(0, 1, step=0.1), [0, 0.1 + 0.2, 1], [0.25, -0.1, "0.1", None]),
        (FloatDistribution(1e-3, 1, log=True), [1e-3, 1], [0, -1, 2, float("inf")]),
        (CategoricalDistribution(["a", 1, None]), ["a", 1, None], ["b", 2, "1"]),
    ],
)
def test_a_distribution_contains_what_it_may_suggest(
    distribution: BaseDistribution, inside: list[Any], outside: list[Any]
) -> None:
    assert [value for value in inside if not contains(distribution, value)] == []
    assert [value for value in outside if contains(distribution, value)] == []


class Run:
    """A run of a plain objective that was given configurations."""

    def __init__(self, *enqueue: dict[str, Any], baseline: dict[str, Any] | None = None) -> None:
        self.said: list[str] = []
        self.has_results = False
        self.given = GivenTrials(configurations(baseline, enqueue), lambda: self.has_results, self._hear)

    def _hear(self, event: Event) -> None:
        assert isinstance(event, Note)
        self.said.append(event.text)

    def asks(self, name: str, distribution: BaseDistribution, **fixed: Any) -> None:
        stored = json.loads(json.dumps(fixed))  # which gives back another NaN
        trial = create_trial(state=TrialState.RUNNING, system_attrs={"fixed_params": stored})
        self.given.check(trial, name, distribution)

    def ends(self, params: dict[str, Any], **fixed: Any) -> None:
        distributions = {name: CategoricalDistribution([value]) for name, value in params.items()}
        fixed_params = {"fixed_params": fixed}
        self.given.note_unused(
            create_trial(value=0.0, params=params, distributions=distributions, system_attrs=fixed_params)
        )


X, N, C = FloatDistribution(0, 10), IntDistribution(1, 9), CategoricalDistribution(["a", "b"])


@pytest.mark.parametrize(
    ("name", "distribution", "value"), [("x", X, 99), ("x", X, math.nan), ("n", N, 2.7), ("c", C, "z")]
)
def test_a_trial_that_was_given_what_lies_outside_ends_the_run_if_nothing_was_found_yet(
    name: str, distribution: BaseDistribution, value: Any
) -> None:
    run = Run({name: value})
    with pytest.raises(OutsideError, match=rf"enqueue\[0\]: {name}={value!r} is not ") as caught:
        run.asks(name, distribution, **{name: value})
    assert caught.value.ends_run
    run.has_results = True
    with pytest.raises(OutsideError) as caught:
        run.asks(name, distribution, **{name: value})
    assert not caught.value.ends_run
    assert run.said == [f"enqueue[0]: {name}={value!r} is not {describe(distribution)}, and the trial has failed"]


@pytest.mark.parametrize(
    ("name", "distribution", "value"), [("n", N, 2.7), ("n", N, "2"), ("c", C, "z"), ("x", X, "a")]
)
def test_what_can_be_in_no_trials_space_is_refused_when_the_first_one_shows_it(
    name: str, distribution: BaseDistribution, value: Any
) -> None:
    for run in (Run({}, {name: value}), Run(baseline={name: value})):
        with pytest.raises(SearchSpaceError, match=rf"{name}={value!r} is not "):
            run.asks(name, distribution)


def test_a_number_outside_of_another_trials_range_is_told_once_and_left_to_its_own_trial() -> None:
    run = Run({"x": 0.5}, {"x": 99})
    for _ in range(2):
        run.asks("x", X, x=0.5)
    assert run.said == [f"enqueue[1]: x=99 is not {describe(X)}, which this trial asks for"]
    run.asks("x", FloatDistribution(0, 100), x=99)


def test_what_a_trial_was_given_and_did_not_ask_for_is_told_when_it_is_finished() -> None:
    run = Run({"blokcs": 2}, {"x": 1.0}, baseline={"x": 1.0, "y": 2.0})
    run.ends({"x": 0.5, "y": 1.0}, x=1.0)
    run.ends({"blocks": 3, "x": 0.5}, blokcs=2)
    run.ends({"blocks": 3, "x": 0.5}, blokcs=2)
    assert run.said == [
        "baseline gives 'x', 'y'; this trial asked for 'blocks', 'x' (it may depend on other hyperparameters)",
        "enqueue[0] gives 'blokcs'; this trial asked for 'blocks', 'x'",
    ]
    later = Run(baseline={"z": 1})
    later.has_results = True
    later.ends({"x": 0.5})
    assert later.said == []


def test_what_people_enqueue_by_optuna_is_optunas() -> None:
    run = Run({"x": 0.5})
    run.asks("x", X, x=99)
    assert run.said == []
