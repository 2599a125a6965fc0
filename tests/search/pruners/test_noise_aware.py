"""The default pruner gives every trial its grace, asks enough peers, and stops what is worse by more than noise."""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable, Sequence
from statistics import fmean

import optuna
import pytest
from optuna.trial import TrialState
from simulated_pruning import CURVES, PRUNERS, search

from autotune.errors import UsageError
from autotune.search.history import COPY_OF, report, should_prune
from autotune.search.pruners import NoiseAwarePruner

GRACE, PEERS = 3, 5


def new_study(direction: str = "maximize", pruner: optuna.pruners.BasePruner | None = None) -> optuna.Study:
    return optuna.create_study(direction=direction, pruner=pruner or NoiseAwarePruner(GRACE, PEERS))


def study_with(peers: int, epochs: int = 6, direction: str = "maximize") -> optuna.Study:
    """Return a study with complete trials at 0.80, 0.81, ... that reported every epoch."""
    study = new_study(direction)
    for peer in range(peers):
        train(study, [0.8 + 0.01 * peer] * epochs, until=None)
    return study


def train(study: optuna.Study, values: Sequence[float], until: TrialState | None = TrialState.PRUNED) -> int | None:
    """Train a trial with these values; return the epoch after which it was stopped.

    Args:
        study: The study.
        values: After each epoch, from 1.
        until: What becomes of a trial that is to be stopped; None for a trial that nothing stops.
    """
    trial = study.ask()
    for epoch, value in enumerate(values, start=1):
        trial.report(value, epoch)
        if until is not None and trial.should_prune():
            study.tell(trial, state=until)
            return epoch
    study.tell(trial, values[-1] if math.isfinite(values[-1]) else 0.0)
    return None


def test_a_bad_trial_is_stopped_when_its_grace_is_over_and_not_before() -> None:
    assert train(study_with(PEERS), [0.1] * 6) == GRACE


def test_a_trial_well_above_the_median_goes_on() -> None:
    assert train(study_with(PEERS), [0.835] * 6) is None


def test_the_bar_is_a_third_of_the_way_from_the_median_to_the_best() -> None:
    assert train(study_with(PEERS), [0.826] * 6) == GRACE  # of 0.80 to 0.84
    assert train(study_with(PEERS), [0.827] * 6) is None


def test_a_trial_is_judged_by_its_best_epoch_where_reports_are_exact() -> None:
    assert train(study_with(PEERS), [0.9, *[0.1] * 2]) is None


def test_too_few_peers_stop_nothing() -> None:
    assert train(study_with(PEERS - 1), [0.1] * 6) is None


def test_peers_that_ended_earlier_have_no_word_on_later_epochs() -> None:
    assert train(study_with(PEERS, epochs=2), [0.1] * 6) is None


@pytest.mark.parametrize(("value", "stopped"), [(0.9, True), (0.1, False)])
def test_smaller_is_better_where_the_study_minimizes(value: float, stopped: bool) -> None:
    assert (train(study_with(PEERS, direction="minimize"), [value] * 6) is not None) is stopped


def test_the_defaults_are_three_epochs_of_grace_and_five_peers() -> None:
    pruner = NoiseAwarePruner()
    assert (pruner.grace_epochs, pruner.peers) == (3, 5)


def test_trials_that_were_stopped_count_among_the_peers() -> None:
    study = study_with(PEERS)
    for _ in range(2 * PEERS):
        assert train(study, [0.1] * 6) == GRACE
    # Among the survivors alone 0.81 would be one of the worst; here the median is 0.1.
    assert train(study, [0.81] * GRACE, until=None) is None
    trial = study.ask()
    for epoch in range(1, GRACE + 1):
        trial.report(0.5, epoch)
    assert not trial.should_prune()


def test_trials_that_run_count_among_the_peers() -> None:
    study = new_study()
    running = [study.ask() for _ in range(PEERS + 1)]
    for epoch in range(1, GRACE + 1):
        for number, trial in enumerate(running):
            trial.report(0.8 + 0.01 * number, epoch)
    assert running[0].should_prune()
    assert not running[-1].should_prune()


def test_failed_trials_and_copies_are_no_peers() -> None:
    study = study_with(PEERS - 1)
    for state in (TrialState.FAIL, TrialState.COMPLETE):
        trial = study.ask()
        trial.set_user_attr(COPY_OF, 0)
        for epoch in range(1, GRACE + 1):
            trial.report(0.8, epoch)
        study.tell(trial, 0.8 if state == TrialState.COMPLETE else None, state)
    assert train(study, [0.1] * 6) is None


def noisy(chance: random.Random, level: float, sigma: float, epochs: int = 12) -> list[float]:
    return [level - 0.5 * math.exp(-epoch / 3) + chance.gauss(0, sigma) for epoch in range(1, epochs + 1)]


def _lost(make: Callable[[], optuna.pruners.BasePruner], searches: int = 12) -> tuple[float, float]:
    """Return the shares of searches that lose the best, and of the other trials that are stopped."""
    done = [search(make(), CURVES["rising"], 0.05, seed) for seed in range(searches)]
    return fmean(one.best[-1] for one in done), fmean(was for one in done for was in one.others)


def test_noise_as_large_as_the_lead_hardly_ever_stops_the_best() -> None:
    best, others = _lost(PRUNERS["NoiseAwarePruner"])
    assert best <= 0.05
    assert others > 0.6
    assert _lost(PRUNERS["median of five complete"])[0] > 0.3  # Optuna's rule, by which the survivors raise the bar


def test_the_same_curve_goes_on_among_noisy_peers_and_is_stopped_among_exact_ones() -> None:
    ends = []
    for swing in (0.0, 0.05):
        study = new_study()
        for peer in range(12):
            level = 0.79 + 0.002 * peer
            train(study, [level + swing * (-1) ** (epoch + peer // 2) for epoch in range(12)], until=None)
        ends.append(train(study, [0.79] * 12))
    assert ends == [GRACE, None]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_reports_that_are_no_numbers_say_nothing(bad: float) -> None:
    study = study_with(PEERS)
    train(study, [0.8, bad, 0.8, bad, 0.8, 0.8], until=None)
    assert train(study, [0.1, bad, bad]) == GRACE
    assert train(study, [0.9, bad, bad, 0.9]) is None
    assert train(study, [bad] * GRACE) == GRACE


def test_reports_at_every_few_steps_are_compared_where_they_are() -> None:
    study = new_study()
    for number in range(PEERS + 1):
        trial = study.ask()
        for step in range(10, 60, 10):
            trial.report(0.8 + 0.01 * (number - PEERS * (number == PEERS)), step)
        assert trial.should_prune() == (number == PEERS)
        study.tell(trial, 0.8)


def test_of_several_objectives_the_first_counts() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], pruner=NoiseAwarePruner(GRACE, PEERS))
    for value in (0.8, 0.81, 0.82, 0.83, 0.84, 0.1):
        trial = study.ask()
        for epoch in range(1, GRACE + 1):
            report(trial, value, epoch)
        assert should_prune(trial) == (value == 0.1)
        study.tell(trial, [value, 1.0])


def test_a_decision_depends_on_stored_trials_only() -> None:
    chance, ends = random.Random(2), []
    curves = [noisy(chance, 0.8 + chance.gauss(0, 0.02), sigma=0.02) for _ in range(25)]
    for is_fresh in (False, True):
        study = new_study()
        ends.append([])
        for curve in curves:
            study.pruner = NoiseAwarePruner(GRACE, PEERS) if is_fresh else study.pruner
            ends[-1].append(train(study, curve))
    assert ends[0] == ends[1]
    assert None in ends[0]
    assert len(set(ends[0])) > 3


def test_a_pruner_that_has_seen_trials_travels_to_another_process() -> None:
    pruner = NoiseAwarePruner(4, 6)
    train(new_study(pruner=pruner), [0.5] * 6)
    arrived = pickle.loads(pickle.dumps(pruner))
    assert (arrived.grace_epochs, arrived.peers) == (4, 6)


@pytest.mark.parametrize(("grace", "peers"), [(-1, 5), (3, 1)])
def test_what_is_out_of_range_is_refused(grace: int, peers: int) -> None:
    with pytest.raises(UsageError, match="out of range"):
        NoiseAwarePruner(grace, peers)
