"""Events of trials that run somewhere else, from what the storage says of them."""

from __future__ import annotations

import threading

import optuna
import pytest

from autotune.running.events import Event, StepReported, TrialEnded, TrialStarted
from autotune.running.watching import StudyWatch


@pytest.fixture
def study(storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="watched")


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def watch(study: optuna.Study, events: list[Event]) -> StudyWatch:
    return StudyWatch(study, events.append, clock=iter(range(100)).__next__)


def test_a_trial_is_seen_to_start_report_and_end(study: optuna.Study, watch: StudyWatch, events: list[Event]) -> None:
    trial = study.ask()
    watch.look()
    trial.report(3.0, 1)
    trial.report(2.0, 2)
    watch.look()
    watch.look()
    study.tell(trial, 1.0)
    watch.look()
    watch.look()
    started, reported, ended = events
    assert started == TrialStarted(0, 0, 0)
    assert reported == StepReported(0, 0, 2, 2.0)
    assert isinstance(ended, TrialEnded)
    assert (ended.slot, ended.number, ended.state, ended.value, ended.steps) == (0, 0, "complete", 1.0, 2)


def test_trials_that_run_at_a_time_have_slots_of_their_own(
    study: optuna.Study, watch: StudyWatch, events: list[Event]
) -> None:
    trials = [study.ask(), study.ask()]
    watch.look()
    study.tell(trials[0], 1.0)
    study.ask()
    watch.look()
    assert [(e.number, e.slot) for e in events if isinstance(e, TrialStarted)] == [(0, 0), (1, 1), (2, 0)]


def test_a_trial_that_was_too_quick_to_be_seen_running_is_told_once(
    study: optuna.Study, watch: StudyWatch, events: list[Event]
) -> None:
    study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), 1.0)
    watch.look()
    watch.look()
    (ended,) = events
    assert isinstance(ended, TrialEnded)
    assert ended.params.keys() == {"x"}


def test_what_was_over_before_is_not_told(study: optuna.Study, events: list[Event]) -> None:
    study.tell(study.ask(), 1.0)
    StudyWatch(study, events.append).look()
    assert events == []


def test_a_trial_that_waits_again_was_interrupted_and_may_start_again(
    study: optuna.Study, storage: optuna.storages.BaseStorage, watch: StudyWatch, events: list[Event]
) -> None:
    trial = study.ask()
    trial.report(3.0, 1)
    watch.look()
    storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.WAITING)
    watch.look()
    watch.look()
    study.ask()
    watch.look()
    first, ended, second = events
    assert isinstance(ended, TrialEnded)
    assert (ended.state, ended.seconds) == ("interrupted", 1)
    assert first == second == TrialStarted(0, 0, 1)


def test_a_failure_is_told_with_its_reason(study: optuna.Study, watch: StudyWatch, events: list[Event]) -> None:
    trial = study.ask()
    trial.set_user_attr("failure", "nan")
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    watch.look()
    (ended,) = events
    assert isinstance(ended, TrialEnded)
    assert (ended.state, ended.reason, ended.value) == ("failed", "nan", None)


def test_a_last_look_is_taken_after_a_block(study: optuna.Study, watch: StudyWatch, events: list[Event]) -> None:
    with watch.watching(threading.Event()):
        study.tell(study.ask(), 1.0)
    assert [type(event) for event in events] == [TrialEnded]


def test_an_observer_that_fails_ends_the_block(study: optuna.Study) -> None:
    def refuse(event: Event) -> None:
        raise RuntimeError("no room on the screen")

    stopping = threading.Event()
    study.ask()
    with pytest.raises(RuntimeError, match="no room"), StudyWatch(study, refuse).watching(stopping):
        assert stopping.wait(60)
