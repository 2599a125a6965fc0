"""Claims: exactly the trials that were asked for, over all slots, and lost ones first."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from autotune.running.claims.claims import Claims
from autotune.running.claims.leases import Lease
from autotune.running.claims.ownership import Owner
from autotune.running.planning.recovery import recover_lost_trials
from autotune.running.storages.opening import sqlite_url
from autotune.running.study.budget import Budget
from autotune.running.study.settings import StudySettings, write_settings
from autotune.study import Overrides

# A parent in a process of its own claims a trial, gives it parameters and a report, says so, and works on it.
PARENT = """
    import signal, sys
    from pathlib import Path
    import optuna
    from autotune.running.study.budget import Budget
    from autotune.running.claims import Claims
    from autotune.running.claims.ownership import Owner
    from autotune.running.storages.opening import open_storage
    storage = open_storage(sys.argv[1])
    study = optuna.load_study(study_name="toy", storage=storage)
    owner = Owner(Path(sys.argv[2]))
    claims = Claims(study, storage, owner, Budget(1))
    trial = claims.next_trial()
    trial.suggest_float("x", 0, 1)
    trial.report(0.5, 1)
    claims.held.late.settle(trial._trial_id)
    print(trial.number, flush=True)
    signal.pause()
"""


@pytest.fixture
def study(storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="toy")


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    owner = Owner(tmp_path / "workers")
    yield owner
    owner.close()


@pytest.fixture
def claims_of(study: optuna.Study, storage: optuna.storages.BaseStorage, owner: Owner) -> Callable[[int], Claims]:
    return lambda n_trials: Claims(study, storage, owner, Budget(n_trials))


@pytest.fixture
def other_parent(tmp_path: Path, study: optuna.Study, script: Callable[..., Any]) -> Any:
    process = script(PARENT, sqlite_url(tmp_path / "study.db"), tmp_path / "workers")
    assert process.stdout.readline() == "0\n"
    return process


def _states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.get_trials()]


def _end(claims: Claims, trial: optuna.Trial, value: float | None = 1.0, state: TrialState | None = None) -> None:
    """Tell how a trial has ended, as slots do."""
    trial.study.tell(trial, None if state else value, state)
    claims.held.release(trial.number)


def _kill(process: Any) -> None:
    process.kill()
    process.wait()


def test_the_budget_is_exact_over_many_threads_and_failures_do_not_count(
    study: optuna.Study, claims_of: Callable[[int], Claims]
) -> None:
    claims = claims_of(12)
    ends = [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED]

    def work(_: int) -> None:
        while not claims.census.is_complete():
            if trial := claims.next_trial():
                state = ends[trial.number % 3]
                trial.report(0.5, 1)
                _end(claims, trial, state=None if state == TrialState.COMPLETE else state)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    # Of the numbers 0, 1, 2 ... every third fails; the twelfth that does not is number 17.
    assert Counter(_states(study)) == {"COMPLETE": 6, "PRUNED": 6, "FAIL": len(study.get_trials()) - 12}
    assert len(study.get_trials()) in (17, 18)


def test_no_more_trials_run_at_a_time_than_are_missing(study: optuna.Study, claims_of: Callable[[int], Claims]) -> None:
    claims = claims_of(2)
    first, second = claims.next_trial(), claims.next_trial()
    assert first is not None
    assert second is not None
    assert claims.next_trial() is None
    assert not claims.census.is_complete()
    _end(claims, first)
    assert claims.next_trial() is None
    _end(claims, second, state=TrialState.FAIL)  # one is missing again
    assert not claims.census.is_complete()
    third = claims.next_trial()
    assert third is not None
    _end(claims, third)
    assert claims.census.is_complete()
    assert claims.next_trial() is None
    assert _states(study) == ["COMPLETE", "FAIL", "COMPLETE"]


def test_a_trial_of_a_dead_parent_is_taken_over_as_itself_and_first(
    study: optuna.Study, claims_of: Callable[[int], Claims], other_parent: Any
) -> None:
    study.enqueue_trial({"x": 0.125})
    params = study.get_trials()[0].params
    _kill(other_parent)
    trial = claims_of(2).next_trial()
    assert trial is not None
    assert trial.number == 0
    assert trial.params == params
    assert trial.suggest_float("x", 0, 1) == params["x"]
    assert study.get_trials()[0].intermediate_values == {1: 0.5}
    assert _states(study) == ["RUNNING", "WAITING"]


def test_a_trial_of_a_living_parent_is_left_to_it(
    study: optuna.Study, claims_of: Callable[[int], Claims], other_parent: Any
) -> None:
    claims = claims_of(1)
    assert claims.next_trial() is None
    assert _states(study) == ["RUNNING"]
    _kill(other_parent)
    trial = claims.next_trial()
    assert trial is not None
    assert trial.number == 0


def test_a_trial_that_plain_optuna_runs_is_left_to_it_and_does_not_count(
    study: optuna.Study, claims_of: Callable[[int], Claims]
) -> None:
    foreign = study.ask()
    claims = claims_of(1)
    trial = claims.next_trial()
    assert trial is not None
    assert trial.number == 1
    assert claims.next_trial() is None
    assert study.get_trials()[0].state == TrialState.RUNNING
    study.tell(foreign, 1.0)


def test_a_trial_is_ours_before_it_runs_and_signed_by_who_has_won_it(
    study: optuna.Study, storage: Any, owner: Owner, claims_of: Callable[[int], Claims], monkeypatch: Any
) -> None:
    study.enqueue_trial({"x": 0.5})
    seen = []

    def lose_the_race(trial_id: int, state: TrialState, values: Any = None) -> bool:
        seen.append((state, set(storage.get_trial(trial_id).system_attrs) - {"fixed_params"}))
        return False

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(storage, "set_trial_state_values", lose_the_race)
        assert claims_of(1).next_trial() is None
    assert seen == [(TrialState.RUNNING, {"autotune:ours"})]
    assert "autotune:owner" not in study.get_trials()[0].system_attrs  # who has lost writes nothing any more
    assert claims_of(1).next_trial() is not None
    assert owner.is_mine(study.get_trials()[0])


def test_a_trial_that_somebody_else_has_ended_is_not_put_back(
    study: optuna.Study, claims_of: Callable[[int], Claims]
) -> None:
    claims = claims_of(1)
    trial = claims.next_trial()
    assert trial is not None
    study.tell(trial.number, state=TrialState.FAIL)
    claims.held.put_back(trial.number)
    assert _states(study) == ["FAIL"]


def test_a_trial_of_this_parent_is_not_claimed_by_its_other_slots(claims_of: Callable[[int], Claims]) -> None:
    assert claims_of(1).next_trial() is not None
    assert claims_of(1).next_trial() is None


@pytest.mark.parametrize("let_go", ["held.put_back", "takeover.lose", "takeover.try_again"])
def test_a_trial_waits_when_all_that_it_has_reported_is_written(
    study: optuna.Study, storage: optuna.storages.BaseStorage, owner: Owner, let_go: str
) -> None:
    claims, opened = Claims(study, storage, owner, Budget(1, max_retries=1, retry_errors=1)), threading.Event()
    trial = claims.next_trial()
    assert trial is not None
    claims.held.late.write(trial._trial_id, opened.wait)
    trial.report(0.5, 1)  # waits behind what waits
    with ThreadPoolExecutor() as pool:
        letting = pool.submit(attrgetter(let_go)(claims), trial.number)
        assert _states(study) == ["RUNNING"]
        opened.set()
        letting.result()
    assert (_states(study), study.get_trials()[0].intermediate_values) == (["WAITING"], {1: 0.5})


def test_a_trial_that_is_put_back_keeps_all_it_had(study: optuna.Study, claims_of: Callable[[int], Claims]) -> None:
    claims = claims_of(1)
    trial = claims.next_trial()
    assert trial is not None
    x = trial.suggest_float("x", 0, 1)
    trial.report(0.5, 1)
    trial.set_user_attr("note", "kept")
    claims.held.put_back(trial.number)
    stored = study.get_trials()[0]
    assert stored.state == TrialState.WAITING
    again = claims.next_trial()
    assert again is not None
    assert (again.number, again.params, again.user_attrs) == (0, {"x": x}, {"note": "kept"})
    assert study.get_trials()[0].intermediate_values == {1: 0.5}


def test_waiting_trials_beyond_the_budget_wait_for_a_larger_one(
    study: optuna.Study, claims_of: Callable[[int], Claims]
) -> None:
    for x in range(5):
        study.enqueue_trial({"x": x})
    claims = claims_of(3)
    trials = [claims.next_trial() for _ in range(4)]
    assert [trial and trial.number for trial in trials] == [0, 1, 2, None]
    assert _states(study) == ["RUNNING"] * 3 + ["WAITING"] * 2
    larger = claims_of(6)
    numbers = [trial.number for trial in iter(larger.next_trial, None)]
    assert numbers == [3, 4, 5]


def test_a_trial_too_many_because_another_machine_was_faster_waits(
    study: optuna.Study, storage: Any, claims_of: Callable[[int], Claims], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = storage.create_new_trial

    def create_after_another_machine(study_id: int, template_trial: optuna.trial.FrozenTrial) -> int:
        create(study_id, template_trial)
        return create(study_id, template_trial)

    claims = claims_of(1)
    monkeypatch.setattr(storage, "create_new_trial", create_after_another_machine)
    assert claims.next_trial() is None
    assert _states(study) == ["RUNNING", "WAITING"]


def test_no_trial_too_many_is_made_by_a_slot_that_has_decided_long_ago(
    study: optuna.Study, storage: Any, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = Claims(study, storage, owner, Budget(3), Lease(storage, study._study_id, owner.mark.parent, 60.0, slots=1))
    has_decided, goes_on = threading.Event(), threading.Event()
    look_for = storage.get_trial_id_from_study_id_trial_number

    def decide_and_wait(study_id: int, number: int) -> int:
        try:
            return look_for(study_id, number)  # there is no such trial: nobody else has made one
        finally:
            monkeypatch.undo()
            has_decided.set()
            goes_on.wait()

    monkeypatch.setattr(storage, "get_trial_id_from_study_id_trial_number", decide_and_wait)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(claims.next_trial)
        has_decided.wait()
        while (trial := claims.next_trial()) is not None:
            _end(claims, trial)
        goes_on.set()
        assert slow.result() is None
    assert _states(study) == ["COMPLETE"] * 3


def test_failed_trials_are_spent_if_they_count_but_not_lost_ones(
    study: optuna.Study, storage: Any, owner: Owner
) -> None:
    claims = Claims(study, storage, owner, Budget(3, count_failed=True))
    for reason in ("error", "lost", "nan"):
        trial = claims.next_trial()
        assert trial is not None
        trial.set_user_attr("failure", reason)
        _end(claims, trial, state=TrialState.FAIL)
    assert not claims.census.is_complete()
    last = claims.next_trial()
    assert last is not None
    assert claims.next_trial() is None
    _end(claims, last)
    assert claims.census.is_complete()


@pytest.mark.parametrize("max_retries", [0, 2])
def test_a_trial_that_is_lost_too_often_fails(
    study: optuna.Study, storage: Any, owner: Owner, max_retries: int
) -> None:
    claims = Claims(study, storage, owner, Budget(1, max_retries=max_retries))
    for _ in range(max_retries):
        trial = claims.next_trial()
        assert trial is not None
        assert claims.takeover.lose(trial.number)
        assert _states(study) == ["WAITING"]
    trial = claims.next_trial()
    assert trial is not None
    assert not claims.takeover.lose(trial.number)
    (lost,) = study.get_trials()
    assert lost.state == TrialState.FAIL
    assert lost.user_attrs["failure"] == "lost"
    assert f"{max_retries + 1} times in a row" in lost.user_attrs["failure_message"]


@pytest.mark.parametrize(("max_retries", "state"), [(0, "FAIL"), (1, "WAITING")])
def test_what_dead_parents_have_left_is_retried_as_often_as_the_study_says(
    study: optuna.Study, storage: Any, other_parent: Any, tmp_path: Path, max_retries: int, state: str
) -> None:
    settings = {"study_file": "/study.py", "n_trials": 1, "n_trials_given": False, "overrides": Overrides(), "seed": 0}
    settings |= {"epochs": 1, "monitor": None, "epoch_policy": "best", "split": None, "threads": 1, "data_dir": None}
    write_settings(study, StudySettings(**settings, run_dir=str(tmp_path), max_retries=max_retries))
    _kill(other_parent)
    recover_lost_trials(storage, "/study.py", lambda name: tmp_path)
    assert _states(study) == [state]


def test_a_trial_that_gets_further_each_time_is_not_lost_too_often(
    study: optuna.Study, storage: Any, owner: Owner
) -> None:
    claims = Claims(study, storage, owner, Budget(1, max_retries=1))
    for step in range(1, 6):
        trial = claims.next_trial()
        assert trial is not None
        trial.report(0.5, step)
        assert claims.takeover.lose(trial.number)
    assert claims.next_trial() is not None
    assert not claims.takeover.lose(0)  # this time without anything new


def test_finished_trials_count_whoever_made_them(study: optuna.Study, claims_of: Callable[[int], Claims]) -> None:
    study.optimize(lambda trial: 0.0, n_trials=2)
    assert claims_of(2).census.is_complete()
    assert not claims_of(3).census.is_complete()
    trial = claims_of(3).next_trial()
    assert trial is not None
    assert trial.number == 2


def test_claiming_needs_no_lock_of_a_dead_parent(
    tmp_path: Path, study: optuna.Study, claims_of: Callable[[int], Claims], script: Callable[..., Any]
) -> None:
    code = """
        import signal, sys
        from pathlib import Path
        from autotune.running.claims.ownership import Owner
        with Owner(Path(sys.argv[1])).alone():
            print("alone", flush=True)
            signal.pause()
    """
    process = script(code, tmp_path / "workers")
    assert process.stdout.readline() == "alone\n"
    os.kill(process.pid, 9)
    assert claims_of(1).next_trial() is not None
