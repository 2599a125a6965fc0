"""Of trials that are given the same configuration at the same moment, one trains it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import optuna
import pytest

from autotune.running.claims.claims import Claims
from autotune.running.claims.configurations import Configurations, RepetitionError
from autotune.running.claims.ownership import Owner
from autotune.running.study.budget import Budget

Parent = Callable[[], Claims]


class _OnePoint(optuna.samplers.BaseSampler):
    """Suggests the lowest value to everybody."""

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        return param_distribution.low


@pytest.fixture
def parent(storage: optuna.storages.BaseStorage, tmp_path: Path) -> Iterator[Parent]:
    study = optuna.create_study(storage=storage, study_name="toy", sampler=_OnePoint())
    with ExitStack() as stack:

        def begin() -> Claims:
            owner = Owner(tmp_path / "workers")
            stack.callback(owner.close)
            return Claims(study, storage, owner, Budget(10))

        yield begin


def _claimed(claims: Claims) -> optuna.Trial:
    trial = claims.next_trial()
    assert trial is not None
    return trial


def _ask(claims: Claims, trial: optuna.Trial, name: str, patience_s: float = 0.0) -> int:
    configurations = claims.configurations
    assert isinstance(configurations, Configurations)
    configurations._patience_s = patience_s
    return configurations.suggested(trial, lambda: trial.suggest_int(name, 0, 7))


def _give_way(claims: Claims, trial: optuna.Trial) -> None:
    claims.held.start_ending(trial.number)
    claims.held.put_back(trial.number)
    claims.held.release(trial.number)


def test_a_trial_with_the_parameters_of_one_that_runs_gives_way_although_that_one_reports_nothing(
    parent: Parent,
) -> None:
    claims = parent()
    first, second = _claimed(claims), _claimed(claims)
    assert _ask(claims, second, "x") == 0
    with pytest.raises(RepetitionError) as caught:
        _ask(claims, first, "x")
    assert caught.value.twin.number == second.number
    _ask(claims, second, "x")  # who was first asks again, as a study file does for each fold, while the other goes
    _give_way(claims, first)
    third = _claimed(claims)
    assert third.number == 2, "what waits is not to be run beside its like"
    second.study.tell(second, 1.0)
    claims.held.release(second.number)
    again = _claimed(claims)
    assert again.number == first.number
    with pytest.raises(RepetitionError) as caught:
        _ask(claims, again, "x")
    assert caught.value.twin.state == optuna.trial.TrialState.COMPLETE


def test_a_trial_waits_for_the_other_one_to_ask_for_more(parent: Parent) -> None:
    claims = parent()
    first, second = _claimed(claims), _claimed(claims)
    _ask(claims, first, "x")
    waits = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        configurations = claims.configurations
        assert configurations is not None
        wait_for = configurations._changed.wait_for

        def tell_and_wait(predicate: Callable[[], bool], timeout: float | None = None) -> bool:
            waits.set()
            return wait_for(predicate, timeout)

        configurations._changed.wait_for = tell_and_wait
        asked = pool.submit(_ask, claims, second, "x", 600.0)
        waits.wait()
        first.suggest_int("y", 0, 7)  # from another slot
        configurations.release(-1)
        assert asked.result() == 0
    third = _claimed(claims)
    assert _ask(claims, third, "x") == 0, "it is known now that more is asked for"


def test_a_trial_that_ends_while_another_one_looks_is_seen_by_it(parent: Parent) -> None:
    claims = parent()
    first, second = _claimed(claims), _claimed(claims)
    _ask(claims, first, "x")
    look = claims.known.trials

    def end_after_look() -> Sequence[optuna.trial.FrozenTrial]:
        seen = look()
        first.study.tell(first, 1.0, skip_if_finished=True)
        return seen

    claims.known.trials = end_after_look
    with pytest.raises(RepetitionError):
        _ask(claims, second, "x")


def test_a_trial_gives_way_to_one_of_another_parent_of_its_run_dir(parent: Parent) -> None:
    ours, theirs = parent(), parent()
    first, second = _claimed(ours), _claimed(theirs)
    ours.known.trials()  # and what is known is good for a while
    _ask(theirs, second, "x")
    with pytest.raises(RepetitionError) as caught:
        _ask(ours, first, "x")
    assert caught.value.twin.number == second.number


def test_the_later_one_of_two_on_different_machines_gives_way_when_it_reports(
    storage: optuna.storages.BaseStorage, tmp_path: Path
) -> None:
    study = optuna.create_study(storage=storage, study_name="toy", sampler=_OnePoint())
    owners = [Owner(tmp_path / "here"), Owner(tmp_path / "there")]
    claims = [Claims(study, storage, owner, Budget(10)) for owner in owners]
    first, second = (_claimed(one) for one in claims)
    for one, trial in zip(claims, (first, second), strict=True):
        trial.suggest_int("x", 0, 7)
        trial.report(1.0, 1)
        one.held.late.settle(trial._trial_id)
    claims[0].known.forget()
    claims[1].known.forget()
    for one in claims:
        assert one.configurations is not None
    claims[0].configurations.reporting(first)
    with pytest.raises(RepetitionError):
        claims[1].configurations.reporting(second)
    for owner in owners:
        owner.close()
