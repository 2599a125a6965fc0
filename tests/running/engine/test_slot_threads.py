"""Slots at work, with a clock that a test sets and trial processes that do what it says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from autotune.errors import StudyFailedError, UsageError
from autotune.running.claims.claims import Claims
from autotune.running.claims.configurations import RepetitionError
from autotune.running.claims.leases import Lease, read_signs
from autotune.running.claims.ownership import Owner
from autotune.running.engine import slot_threads
from autotune.running.engine.ending import Ending
from autotune.running.engine.failures_in_a_row import FailuresInARow
from autotune.running.engine.slot_threads import SlotThreads
from autotune.running.engine.supervising import NotOursError
from autotune.running.processes.slots import core_slots
from autotune.running.study.budget import Budget
from autotune.running.tracking.events import Event, TrialEnded, TrialStarted
from autotune.running.trial.trial_task import Outcome
from autotune.training.checkpoints.folder import trial_folder

PATIENCE_S = 60.0  # of a test that has failed

Process = Callable[[optuna.Trial, set[int]], Outcome | None]


class World:
    """A study in SQLite, one parent with slots, and trial processes that are functions.

    Attributes:
        now: What the parent's clock shows.
        process: What each trial process does.
        abandoned: Set when a supervision is told to abandon its trial.
        events: What the observer was told.
    """

    def __init__(
        self, study: optuna.Study, folder: Path, owner: Owner, n_trials: int = 3, lease_s: float = 60.0
    ) -> None:
        self.now = 0.0
        self.process: Process = lambda trial, steps: Outcome("complete", float(trial.number))
        self.abandoned = threading.Event()
        self.events: list[Event] = []
        self.stopping = threading.Event()
        self.study = study
        self.lease = Lease(study._storage, study._study_id, owner.mark.parent, lease_s, 2)
        self.claims = Claims(study, study._storage, owner, Budget(n_trials), self.lease)
        supervisor: Any = SimpleNamespace(
            study=study,
            claims=self.claims,
            start=self._start,
            known_space=None,
            observer=self.events.append,
            leave_history=lambda folder: None,
            launcher=SimpleNamespace(close=lambda: None),
        )
        artifacts: Any = SimpleNamespace(leave=lambda trial, folder: None)
        self._ending = Ending(supervisor, partial(trial_folder, folder), artifacts, lambda: None)

    def threads(self, n_slots: int = 2, max_failures: int = 3) -> SlotThreads:
        failures = FailuresInARow(max_failures, lambda: False, lambda number: Path("log.txt"))
        return SlotThreads(
            self._ending, failures, self.lease, core_slots(n_slots, 1), self.stopping, clock=lambda: self.now
        )

    def states(self) -> list[str]:
        return [trial.state.name for trial in self.study.get_trials()]

    def ended(self) -> list[TrialEnded]:
        return [event for event in self.events if isinstance(event, TrialEnded)]

    def has_ended(self) -> bool:
        """Say whether the parent's lease has ended, as other parents see it."""
        return [sign.beat for sign in read_signs(self.study).values()] == [-1]

    def _start(self, slot: object, trial: optuna.Trial, folder: object, steps: set[int]) -> Any:
        return SimpleNamespace(run=lambda: self.process(trial, steps), abandon=self.abandoned.set)


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    with closing(Owner(tmp_path / "workers")) as owner:
        yield owner


@pytest.fixture
def study(storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="toy")


@pytest.fixture
def world(study: optuna.Study, tmp_path: Path, owner: Owner) -> World:
    return World(study, tmp_path, owner)


def test_slots_run_exactly_the_trials_that_there_are_to_be(world: World) -> None:
    world.threads().run()
    assert [(trial.state, trial.value) for trial in world.study.get_trials()] == [
        (TrialState.COMPLETE, float(number)) for number in range(3)
    ]
    assert sorted(event.number for event in world.events if isinstance(event, TrialStarted)) == [0, 1, 2]
    assert max(event.finished or 0 for event in world.ended()) == 3


def test_a_trial_is_told_of_with_its_slots_own_seconds(world: World) -> None:
    def work(trial: optuna.Trial, steps: set[int]) -> Outcome:
        world.now += 5.0
        return Outcome("complete", 1.0, phases={"epochs": 3.0})

    world.process = work
    world.threads(n_slots=1).run()
    assert [(event.seconds, dict(event.phases)) for event in world.ended()] == [
        (5.0, {"process": 2.0, "epochs": 3.0})
    ] * 3


def test_of_idle_slots_one_alone_looks_for_all_and_soon_again_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, looks, claim = world.threads(), list[object](), world.claims.next_trial

    def look() -> optuna.Trial | None:
        looks.append(threads._next_trial(True) if len(looks) == 4 else None)  # another idle slot, at the same time
        return claim()

    monkeypatch.setattr(world.claims, "next_trial", look)
    assert all(threads._next_trial(False) for _ in range(3))
    assert threads._next_trial(False) is None  # no trial is left, and the clock stands still
    assert (threads._next_trial(False), threads._next_trial(True), len(looks)) == (None, None, 4)
    world.now += 1.0
    assert (threads._next_trial(True), len(looks)) == (None, 5)


def test_what_goes_wrong_in_a_slot_ends_all_and_is_raised_in_the_callers_thread(world: World) -> None:
    def fail(trial: optuna.Trial, steps: set[int]) -> Outcome | None:
        if trial.number == 0:
            raise ZeroDivisionError("in a slot")
        assert world.stopping.wait(PATIENCE_S)  # as a process that is ended by its launcher
        return None

    world.process = fail
    with pytest.raises(ZeroDivisionError, match="in a slot"):
        world.threads().run()
    assert set(world.states()) == {"WAITING"}


def test_a_users_mistake_that_a_trial_shows_ends_the_run_and_the_trial_waits(world: World) -> None:
    mistake = UsageError("it cannot work.", "It should.", "Correct it.")
    world.process = lambda trial, steps: Outcome("unusable", error=mistake)
    with pytest.raises(UsageError, match="cannot work"):
        world.threads(n_slots=1).run()
    assert world.states() == ["WAITING"]


def test_too_many_failures_end_the_run(world: World) -> None:
    world.process = lambda trial, steps: Outcome("failed", reason="error", message="ValueError: no")
    with pytest.raises(StudyFailedError, match="2 trials in a row have failed"):
        world.threads(n_slots=1, max_failures=2).run()
    assert world.states() == ["FAIL", "FAIL"]


def test_a_run_that_is_stopped_lets_its_trials_wait(world: World) -> None:
    def stop(trial: optuna.Trial, steps: set[int]) -> Outcome | None:
        world.stopping.set()
        return None

    world.process = stop
    world.threads(n_slots=1).run()
    assert (world.states(), [event.state for event in world.ended()]) == (["WAITING"], ["interrupted"])


def test_a_run_that_is_stopped_does_not_wait_for_a_slot_whose_storage_does_not_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_threads, "_STOP_S", 0.0)
    answers = threading.Event()

    def hang(trial: optuna.Trial, steps: set[int]) -> Outcome | None:
        world.stopping.set()
        answers.wait(PATIENCE_S)
        return None

    world.process = hang
    threads = world.threads(n_slots=1)
    threads.run()
    assert world.states() == ["RUNNING"]
    answers.set()
    threads._threads[0].join()


def test_a_trial_that_another_parent_has_taken_over_is_abandoned_and_the_slot_goes_on(
    study: optuna.Study, tmp_path: Path, owner: Owner
) -> None:
    world = World(study, tmp_path, owner, n_trials=2, lease_s=0.02)

    def work(trial: optuna.Trial, steps: set[int]) -> Outcome:
        if trial.number > 0:
            return Outcome("complete", 1.0)
        with closing(Owner(tmp_path / "other" / "workers")) as other:
            other.sign(study._storage, trial._trial_id)
            assert world.abandoned.wait(PATIENCE_S)
        study.tell(trial.number, 7.0)  # by the other parent
        raise NotOursError

    world.process = work
    world.threads(n_slots=1).run()
    assert [trial.value for trial in study.get_trials()] == [7.0, 1.0]
    assert [event.state for event in world.ended()] == ["interrupted", "complete"]


def test_a_trial_that_is_the_same_as_another_one_ends_as_its_copy(world: World) -> None:
    def work(trial: optuna.Trial, steps: set[int]) -> Outcome:
        if trial.number == 0:
            trial.report(0.5, 1)
            return Outcome("complete", 4.0)
        raise RepetitionError(world.study.get_trials()[0])

    world.process = work
    world.threads(n_slots=1).run()
    trials = world.study.get_trials()
    assert [(trial.value, trial.intermediate_values) for trial in trials] == [(4.0, {1: 0.5})] * 3
    assert [event.reason for event in world.ended()] == ["", "a copy of trial 0", "a copy of trial 0"]


def test_where_no_thread_can_be_had_the_run_ends_with_what_the_system_says(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = world.threads()

    def refuse() -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads._threads[1], "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        threads.run()
    assert "RUNNING" not in world.states()
    assert world.has_ended()


def test_the_lease_ends_when_the_last_slot_has_written_what_there_is_to_write(world: World) -> None:
    world.threads().run()
    assert world.has_ended()
