"""The seconds of a trial, over all the processes that it has needed."""

from __future__ import annotations

import optuna
import pytest

from autotune.training.checkpoint import Checkpoint
from autotune.training.timing import Timer, noting_time


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
