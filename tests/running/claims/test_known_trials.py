"""Trials that are read once for all slots: old for a moment where others write, never where this parent does."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState

from autotune.running.claims.known_trials import KnownTrials
from autotune.search.history import StorageView


class Clock:
    """A clock on which each reading takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


@pytest.fixture
def study(storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="toy")


@pytest.fixture
def shared(study: optuna.Study, storage: optuna.storages.BaseStorage) -> KnownTrials:
    return KnownTrials(storage, study._study_id, Clock())


def _held(study: optuna.Study, shared: KnownTrials) -> optuna.Trial:
    """Make a trial as claims do, and return it as slots see it."""
    trial = study.ask()
    shared.hold(trial.storage.get_trial(trial._trial_id))
    view = optuna.Study("toy", StorageView(study, shared), study.sampler, study.pruner)
    return optuna.Trial(view, trial._trial_id)


def test_what_this_parent_writes_to_a_trial_it_holds_is_seen_at_once(study: optuna.Study, shared: KnownTrials) -> None:
    shared.trials()
    trial = _held(study, shared)
    x = trial.suggest_float("x", 0, 1)
    trial.report(0.5, 1)
    trial.set_user_attr("note", "seen")
    trial.set_constraint("oom", 1.0)
    (seen,) = shared.trials()
    assert (seen.params, seen.intermediate_values, seen.user_attrs) == ({"x": x}, {1: 0.5}, {"note": "seen"})
    assert seen.constraints == {"oom": 1.0}
    trial.study.tell(trial, 0.25)
    (ended,) = shared.trials()
    assert (ended.state, ended.value) == (TrialState.COMPLETE, 0.25)
    shared.release(0)
    (stored,) = study.get_trials()
    (ended,) = shared.trials()
    assert (ended.state, ended.value, ended.params) == (stored.state, stored.value, stored.params)
    assert ended.intermediate_values == stored.intermediate_values


def test_what_is_handed_out_does_not_change_any_more(study: optuna.Study, shared: KnownTrials) -> None:
    trial = _held(study, shared)
    (before,) = shared.trials()
    trial.report(0.5, 1)
    assert before.intermediate_values == {}


def test_what_others_write_is_seen_after_a_while(study: optuna.Study, shared: KnownTrials) -> None:
    assert len(shared.trials()) == 0
    study.add_trial(optuna.trial.create_trial(value=1.0))
    looks = 0
    while not len(shared.trials()):
        looks += 1
    assert 0 < looks < 10


def test_what_others_write_is_seen_at_once_after_all_was_forgotten(study: optuna.Study, shared: KnownTrials) -> None:
    assert len(shared.trials()) == 0
    study.add_trial(optuna.trial.create_trial(value=1.0))
    shared.forget()
    assert len(shared.trials()) == 1


def test_trials_made_out_of_order_find_their_places(study: optuna.Study, shared: KnownTrials) -> None:
    shared.trials()
    made = [study.ask() for _ in range(3)]
    frozen = [trial.storage.get_trial(trial._trial_id) for trial in made]
    for number in (2, 0, 1):
        shared.hold(frozen[number])
    assert [trial.number for trial in shared.trials()] == [0, 1, 2]


def test_a_trial_that_is_let_go_before_its_end_is_read_anew(study: optuna.Study, shared: KnownTrials) -> None:
    trial = _held(study, shared)
    study.tell(trial.number, 3.0)  # somebody else has ended it
    assert shared.trials()[0].state == TrialState.RUNNING
    shared.release(0)
    assert shared.trials()[0].state == TrialState.COMPLETE
