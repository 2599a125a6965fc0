"""Leases: parents that share nothing but the storage know of each other's death, sleep and resurrection."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from autotune.running.claims.claims import Claims
from autotune.running.claims.leases import Lease, is_recent, read_signs
from autotune.running.claims.ownership import Owner
from autotune.running.study.budget import Budget

Storage = optuna.storages.BaseStorage
LEASE_S = 60.0


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Machine:
    """A parent on a machine of its own: with a clock and a run dir that nobody else sees."""

    clock: Clock
    lease: Lease
    claims: Claims

    def look_for(self, seconds: float, step: float = LEASE_S / 4) -> None:
        """Look again and again for so long, as the thread that keeps the lease does."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now = min(until, self.clock.now + step)
            self.claims.takeover.look()


@pytest.fixture
def study(storage: Storage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="toy")


@pytest.fixture
def machine(study: optuna.Study, storage: Storage, tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    with ExitStack() as stack:

        def start(name: str, n_trials: int = 2, max_retries: int = 2, lease_s: float = LEASE_S) -> Machine:
            owner = Owner(tmp_path / name / "workers")
            stack.callback(owner.close)
            clock = Clock()
            lease = Lease(storage, study._study_id, owner.mark.parent, lease_s, 1, clock)
            lease.renew()
            budget = Budget(n_trials, max_retries=max_retries)
            return Machine(clock, lease, Claims(study, storage, owner, budget, lease))

        yield start


def _claimed(machine: Machine) -> optuna.Trial:
    trial = machine.claims.next_trial()
    assert trial is not None
    return trial


def _states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.get_trials()]


def test_a_trial_goes_back_to_waiting_once_its_parent_is_gone_for_longer_than_the_lease(
    study: optuna.Study, machine: Callable[..., Machine]
) -> None:
    dead, onlooker = machine("dead"), machine("onlooker")
    trial = _claimed(dead)
    x = trial.suggest_float("x", 0, 1)
    trial.report(0.5, 1)
    onlooker.claims.takeover.look()
    onlooker.look_for(LEASE_S)
    assert _states(study) == ["RUNNING"]
    onlooker.look_for(LEASE_S / 4)
    assert _states(study) == ["WAITING"]
    again = _claimed(onlooker)
    assert (again.number, again.params) == (0, {"x": x})
    assert study.get_trials()[0].intermediate_values == {1: 0.5}


def test_a_parent_that_renews_its_lease_keeps_its_trial_however_long(
    study: optuna.Study, machine: Callable[..., Machine]
) -> None:
    alive, onlooker = machine("alive"), machine("onlooker")
    _claimed(alive)
    alive.clock.now += 1e6  # clocks of different machines have nothing to do with each other
    for _ in range(20):
        alive.look_for(LEASE_S / 4)
        onlooker.look_for(LEASE_S / 2)
    assert _states(study) == ["RUNNING"]


def test_time_in_which_the_onlooker_slept_does_not_count(study: optuna.Study, machine: Callable[..., Machine]) -> None:
    alive, onlooker = machine("alive"), machine("onlooker")
    _claimed(alive)
    onlooker.claims.takeover.look()
    onlooker.clock.now += 10 * LEASE_S  # it was stopped, or the storage was away for both
    onlooker.claims.takeover.look()
    assert _states(study) == ["RUNNING"]
    onlooker.look_for(LEASE_S)
    assert _states(study) == ["RUNNING"]
    onlooker.look_for(LEASE_S / 4)
    assert _states(study) == ["WAITING"]


def test_the_lease_that_counts_is_the_dead_parents_own(study: optuna.Study, machine: Callable[..., Machine]) -> None:
    dead, onlooker = machine("dead", lease_s=10 * LEASE_S), machine("onlooker")
    _claimed(dead)
    onlooker.claims.takeover.look()
    onlooker.look_for(10 * LEASE_S)
    assert _states(study) == ["RUNNING"]
    onlooker.look_for(LEASE_S)
    assert _states(study) == ["WAITING"]


def test_a_parent_that_has_ended_is_gone_at_once(study: optuna.Study, machine: Callable[..., Machine]) -> None:
    ended, onlooker = machine("ended"), machine("onlooker")
    _claimed(ended)
    ended.lease.end()
    onlooker.claims.takeover.look()
    assert _states(study) == ["WAITING"]


def test_a_trial_that_is_lost_again_and_again_fails_with_that_reason(
    study: optuna.Study, machine: Callable[..., Machine]
) -> None:
    onlooker = machine("onlooker", n_trials=1)
    for number in range(3):
        dead = machine(f"dead {number}", n_trials=1)
        assert _claimed(dead).number == 0
        dead.lease.end()
        onlooker.claims.takeover.look()
    (trial,) = study.get_trials()
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs["failure"] == "lost"
    assert not onlooker.claims.census.is_complete()
    assert _claimed(onlooker).number == 1  # which the lost one does not take the place of


def test_a_parent_that_was_asleep_learns_that_its_trial_is_somebody_elses(
    study: optuna.Study, machine: Callable[..., Machine]
) -> None:
    asleep, other = machine("asleep", n_trials=1), machine("other", n_trials=1)
    trial = _claimed(asleep)
    assert asleep.claims.held.holds(0)
    other.claims.takeover.look()
    other.look_for(1.5 * LEASE_S)
    _claimed(other)
    asleep.clock.now += 2 * LEASE_S
    assert not asleep.lease.is_fresh()
    assert not asleep.claims.held.holds(0)
    assert asleep.claims.takeover.look() == {trial.number}
    asleep.claims.held.put_back(0)  # which is not its to do any more
    assert _states(study) == ["RUNNING"]
    assert other.claims.held.holds(0)
    assert other.claims.takeover.look() == set()


def test_a_parent_that_wakes_late_owns_nothing_that_it_has_not_looked_at(
    study: optuna.Study, machine: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper, other = machine("sleeper"), machine("other")
    _claimed(sleeper)
    other.claims.takeover.look()
    other.look_for(1.5 * LEASE_S)
    _claimed(other)
    sleeper.clock.now += 2 * LEASE_S
    seen: list[bool] = []
    renew = sleeper.lease.renew

    def renew_and_ask() -> None:
        renew()
        seen.append(sleeper.claims.held.holds(0))

    monkeypatch.setattr(sleeper.lease, "renew", renew_and_ask)
    assert sleeper.claims.takeover.look() == {0}
    assert seen == [False]
    assert not sleeper.claims.held.holds(0)
    assert other.claims.held.holds(0)


def test_a_lease_may_be_endless(study: optuna.Study, storage: Storage) -> None:
    lease = Lease(storage, study._study_id, "parent", math.inf, 1)
    lease.renew()
    assert is_recent(read_signs(study)["parent"])


def test_a_parent_that_was_asleep_and_whom_nobody_missed_goes_on(machine: Callable[..., Machine]) -> None:
    asleep = machine("asleep")
    _claimed(asleep)
    asleep.clock.now += 100 * LEASE_S
    assert not asleep.lease.is_fresh()
    assert asleep.claims.held.holds(0)
    assert asleep.claims.takeover.look() == set()
    assert asleep.lease.is_fresh()


def test_a_claim_whose_answer_was_lost_is_put_back_after_two_looks(
    study: optuna.Study, machine: Callable[..., Machine]
) -> None:
    one = machine("one")
    _claimed(one)
    one.claims.held.release(0)  # no slot knows of it
    one.claims.takeover.look()
    assert _states(study) == ["RUNNING"]
    one.claims.takeover.look()
    assert _states(study) == ["WAITING"]


def test_a_trial_whose_claimer_died_before_it_could_sign_is_taken_over(
    study: optuna.Study, storage: Storage, machine: Callable[..., Machine]
) -> None:
    dead, onlooker = machine("dead"), machine("onlooker")
    _claimed(dead)
    dead.claims.held.put_back(0)
    storage.set_trial_state_values(study.get_trials()[0]._trial_id, TrialState.RUNNING)  # and no signature
    onlooker.claims.takeover.look()
    onlooker.look_for(LEASE_S)
    assert _states(study) == ["RUNNING"]
    onlooker.look_for(LEASE_S / 4)
    assert _states(study) == ["WAITING"]


def test_a_trial_that_is_being_told_is_neither_lost_nor_put_back(
    machine: Callable[..., Machine], study: optuna.Study
) -> None:
    one = machine("one")
    _claimed(one)
    one.claims.held.start_ending(0)
    study.tell(0, 1.0)
    assert one.claims.takeover.look() == set()
    assert one.claims.takeover.look() == set()
    assert _states(study) == ["COMPLETE"]


def test_a_trial_of_plain_optuna_is_left_alone(study: optuna.Study, machine: Callable[..., Machine]) -> None:
    study.ask()
    onlooker = machine("onlooker")
    onlooker.claims.takeover.look()
    onlooker.look_for(10 * LEASE_S)
    assert _states(study) == ["RUNNING"]


def test_people_see_who_was_heard_of_lately(study: optuna.Study, machine: Callable[..., Machine]) -> None:
    one, two = machine("one"), machine("two")
    two.lease.end()
    signs = read_signs(study)
    assert len(signs) == 2
    assert sorted(is_recent(sign) for sign in signs.values()) == [False, True]
    assert not is_recent(None)
    assert one.lease.is_fresh()


def test_a_trial_that_a_slot_lets_go_of_during_a_look_is_in_doubt_no_more(
    machine: Callable[..., Machine], storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine("one")
    trial = _claimed(one)
    with closing(Owner(tmp_path / "other" / "workers")) as other:
        other.sign(storage, trial._trial_id)  # who has taken it over
    running, looks = one.claims.held.numbers.running, iter([False, True])

    def let_go() -> set[int]:
        found = running()
        if next(looks):
            one.claims.held.release(trial.number)
        return found

    monkeypatch.setattr(one.claims.held.numbers, "running", let_go)
    assert one.claims.takeover.look() == {trial.number}
    assert not one.claims.held.numbers.is_doubtful(trial.number)
