"""Counts, bests, speeds and the time left, from the events of a run."""

from __future__ import annotations

import math
from typing import Any

import pytest

from autotune.progress.tally import RunningTrial, Tally
from autotune.running.tracking.events import Event, FoldFinished, RunStarted, StepReported, TrialEnded, TrialStarted


@pytest.fixture
def tally(clock: Any) -> Tally:
    return Tally(clock)


def begin(tally: Tally, **known: Any) -> None:
    whole = {"name": "net", "n_trials": 10, "finished": 0, "slots": 2, "epochs": 10, "direction": "maximize", **known}
    tally.note(RunStarted(**whole))


def end(tally: Tally, slot: int, number: int, seconds: float, state: Any = "complete", **known: Any) -> None:
    value = 0.5 if state == "complete" else None
    tally.note(
        TrialEnded(
            **{**_ENDED, "slot": slot, "number": number, "state": state, "seconds": seconds, "value": value, **known}
        )
    )


_ENDED: dict[str, Any] = {"reason": "", "params": {}, "steps": 10}


def only(tally: Tally) -> RunningTrial:
    (trial,) = tally.running.values()
    return trial


def test_everything_is_counted(tally: Tally, events: list[Event]) -> None:
    for event in events:
        tally.note(event)
    assert (tally.finished, tally.pruned, dict(tally.failures), tally.best) == (3, 0, {"nan": 1}, (2, 0.75))
    assert [(trial.slot, trial.number, trial.step) for trial in tally.running.values()] == [(0, 4, 0), (1, 5, 7)]
    end(tally, 1, 5, 1.0, "pruned", finished=6)  # others have finished some, too
    assert (tally.finished, tally.pruned) == (6, 1)


def test_what_a_study_had_before_counts(tally: Tally) -> None:
    begin(tally, finished=4, pruned=1, failed={"oom": 2}, best=(3, 0.9), waiting=(5, 6))
    tally.note(TrialStarted(0, 5))
    end(tally, 0, 5, 1.0, "failed", reason="oom")
    tally.note(TrialStarted(0, 7))
    end(tally, 0, 7, 1.0)
    assert (tally.finished, tally.pruned, dict(tally.failures)) == (5, 1, {"oom": 3})
    assert (tally.best, tally.waiting) == ((3, 0.9), {6})
    tally.note(TrialStarted(0, 8))
    end(tally, 0, 8, 1.0, "interrupted")
    assert tally.waiting == {6, 8}


def test_a_second_run_begins_anew(tally: Tally, events: list[Event]) -> None:
    for event in events:
        tally.note(event)
    begin(tally)
    assert (tally.finished, dict(tally.failures), tally.best, tally.running) == (0, {}, None, {})


@pytest.mark.parametrize(("direction", "best"), [("maximize", 0.7), ("minimize", 0.2)])
def test_the_best_of_a_trial_is_the_best_that_it_has_ever_reported(tally: Tally, direction: str, best: float) -> None:
    begin(tally, direction=direction)
    tally.note(TrialStarted(0, 0, reports={1: 0.2, 2: 0.4}))
    assert (only(tally).step, only(tally).value) == (2, 0.4)
    for step, value in enumerate([0.7, math.nan, 0.5], start=3):
        tally.note(StepReported(0, 0, step, value))
    assert (only(tally).step, only(tally).value, only(tally).best) == (5, 0.5, best)


def test_speed_is_measured_between_reports(tally: Tally, clock: Any) -> None:
    begin(tally)
    tally.note(TrialStarted(0, 0))
    clock.now += 20.0  # it is built
    tally.note(StepReported(0, 0, 1, 0.5))
    assert only(tally).step_s is None
    clock.now += 3.0
    tally.note(StepReported(0, 0, 2, 0.5))
    assert only(tally).step_s == 3.0
    clock.now += 1.0
    tally.note(StepReported(0, 0, 3, 0.5))
    assert only(tally).step_s == 2.0


def test_reports_that_are_told_in_one_breath_are_no_speed(tally: Tally, clock: Any) -> None:
    begin(tally)
    tally.note(TrialStarted(0, 0))
    for step in (1, 2, 3):
        tally.note(StepReported(0, 0, step, 0.5))
    assert only(tally).step_s is None
    clock.now += 2.0
    tally.note(StepReported(0, 0, 4, 0.5))
    assert only(tally).step_s == 2.0


def test_later_folds_do_not_change_the_speed_of_an_epoch(tally: Tally, clock: Any) -> None:
    begin(tally, epochs=2, folds=3)
    tally.note(TrialStarted(0, 0))
    for step in (1, 2):
        clock.now += 3.0
        tally.note(StepReported(0, 0, step, 0.5))
    tally.note(FoldFinished(0, 0, 1))
    clock.now += 60.0
    tally.note(FoldFinished(0, 0, 2))
    tally.note(StepReported(0, 0, 3, 0.6))
    assert (only(tally).finished_folds, only(tally).step_s, only(tally).value) == (2, 3.0, 0.6)


def test_the_time_left_comes_from_what_a_finished_trial_took_a_slot(tally: Tally, clock: Any) -> None:
    begin(tally, n_trials=10)
    assert tally.time_left() is None
    for slot in (0, 1):
        tally.note(TrialStarted(slot, slot))
    clock.now += 30.0
    end(tally, 0, 0, 30.0)
    end(tally, 1, 1, 10.0, "failed", reason="nan")  # costs time, and is no finished trial
    left = tally.time_left()
    assert left is not None
    assert (left.seconds, left.is_limit) == (9 * 40.0 / 2, False)


def test_what_runs_has_done_a_part_of_what_is_left(tally: Tally, clock: Any) -> None:
    begin(tally, n_trials=2)
    tally.note(TrialStarted(0, 0))
    tally.note(TrialStarted(1, 1))
    clock.now += 30.0
    end(tally, 0, 0, 30.0)
    clock.now -= 12.0  # the other one is younger than that
    left = tally.time_left()
    assert left is not None
    assert left.seconds == pytest.approx(30.0 - 18.0)  # one slot will do: there is one trial left
    clock.now += 1000.0
    left = tally.time_left()
    assert left is not None
    assert left.seconds == 0.0


def test_before_a_trial_has_ended_its_epochs_give_a_limit(tally: Tally, clock: Any) -> None:
    begin(tally, n_trials=4, epochs=10, slots=1)
    tally.note(TrialStarted(0, 0))
    clock.now += 5.0
    tally.note(StepReported(0, 0, 1, 0.5))
    assert tally.time_left() is None
    clock.now += 2.0
    tally.note(StepReported(0, 0, 2, 0.5))
    left = tally.time_left()
    assert left is not None
    assert (left.seconds, left.is_limit) == (4 * (5.0 + 9 * 2.0) - 7.0, True)


def test_every_fold_takes_as_long_as_the_first(tally: Tally, clock: Any) -> None:
    begin(tally, n_trials=1, epochs=10, folds=5)
    tally.note(TrialStarted(0, 0))
    for step in (1, 2):
        clock.now += 2.0
        tally.note(StepReported(0, 0, step, 0.5))
    left = tally.time_left()
    assert left is not None
    assert left.seconds == 5 * 10 * 2.0 - 4.0


def test_others_that_help_shorten_the_time(tally: Tally) -> None:
    begin(tally, n_trials=30, slots=1)
    tally.note(TrialStarted(0, 0))
    end(tally, 0, 0, 10.0, finished=3)
    left = tally.time_left()
    assert left is not None
    assert left.seconds == pytest.approx(27 * 10.0 / 3)


def test_who_watches_begins_with_the_times_that_are_stored(tally: Tally) -> None:
    begin(tally, n_trials=10, finished=4, is_elsewhere=True, mean_trial_s=10.0)
    left = tally.time_left()
    assert left is not None
    assert (left.seconds, left.is_limit) == (6 * 10.0 / 2, False)
    end(tally, 0, 4, 20.0)
    left = tally.time_left()
    assert left is not None
    assert left.seconds == pytest.approx(5 * (4 * 10.0 + 20.0) / 5 / 2)


def test_there_is_no_time_left_when_all_trials_are_finished(tally: Tally) -> None:
    begin(tally, n_trials=1)
    tally.note(TrialStarted(0, 0))
    end(tally, 0, 0, 10.0)
    assert tally.time_left() is None
