"""The seconds of a trial, over all the processes that it has needed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import optuna
import pytest

from autotune.study import StudySpec
from autotune.training.checkpoints.checkpoint import Checkpoint
from autotune.training.records.timing import Timer, noting_time


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_fitting_is_a_part_of_the_whole_and_counts_on_from_a_checkpoint() -> None:
    clock = Clock()
    timer = Timer(clock)
    timer.go_on_from(Checkpoint("", (), {}, 0, False, [], [], [], fit_seconds=10.0, process_seconds=15.0))
    clock.now += 2
    with timer.fitting():
        clock.now += 3
        assert (timer.fit_seconds, timer.process_seconds) == (13.0, 20.0)
    clock.now += 1
    assert (timer.fit_seconds, timer.process_seconds) == (13.0, 21.0)


@pytest.mark.parametrize("is_pruned", [False, True])
def test_a_trial_is_left_its_seconds_when_it_ends(is_pruned: bool) -> None:
    clock, trial = Clock(), optuna.create_study().ask()
    timer = Timer(clock)

    def end() -> None:
        with noting_time(trial, timer), timer.fitting():
            clock.now += 4
            if is_pruned:
                raise optuna.TrialPruned

    if is_pruned:
        with pytest.raises(optuna.TrialPruned):
            end()
    else:
        end()
    assert trial.user_attrs == {"fit_seconds": 4.0, "process_seconds": 4.0}


def test_each_second_is_of_one_phase_and_all_are_counted() -> None:
    clock = Clock()
    timer = Timer(clock)
    clock.now += 1
    with timer.spending("build"):
        clock.now += 2
        with timer.spending("suggestions"):
            clock.now += 4
        clock.now += 8
    timer.turn_to("training")
    clock.now += 16
    timer.turn_to("the rest")
    assert timer.phases == {"the rest": 1, "build": 10, "suggestions": 4, "training": 16}
    assert sum(timer.phases.values()) == timer.process_seconds


@pytest.mark.trains
def test_a_trial_tells_what_it_has_spent_its_time_with(bench: Any, study_of: Callable[..., StudySpec]) -> None:
    ticks = itertools.count()
    timer = Timer(lambda: float(next(ticks)))  # a second passes with each look at the clock
    bench.train(study_of(epochs=2), timer=timer)
    whole = {"the rest", "build", "tracing", "training", "validation", "checkpoints", "saving", "pictures"}
    assert set(timer.phases) == whole
    assert timer.phases["tracing"] == 2  # the first batch of training, and that of validation
    assert timer.phases["checkpoints"] == 2
