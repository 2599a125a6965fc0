"""The default pruner gives every trial its grace, asks enough peers, and then stops the worse."""

from __future__ import annotations

import optuna
import pytest

from autotune.search import patient_median

GRACE, PEERS = 3, 5


def study_with(peers: int, epochs: int = 6, direction: str = "maximize") -> optuna.Study:
    """Return a study with complete trials at 0.80, 0.81, ... that reported every epoch."""
    study = optuna.create_study(direction=direction, pruner=patient_median(GRACE, PEERS))
    for peer in range(peers):
        trial = study.ask()
        for epoch in range(1, epochs + 1):
            trial.report(0.8 + 0.01 * peer, epoch)
        study.tell(trial, 0.8 + 0.01 * peer)
    return study


def epoch_of_pruning(study: optuna.Study, value: float, epochs: int = 6) -> int | None:
    trial = study.ask()
    for epoch in range(1, epochs + 1):
        trial.report(value, epoch)
        if trial.should_prune():
            return epoch
    return None


def test_a_bad_trial_is_stopped_when_its_grace_is_over_and_not_before() -> None:
    assert epoch_of_pruning(study_with(PEERS), 0.1) == GRACE


def test_a_trial_better_than_the_median_goes_on() -> None:
    assert epoch_of_pruning(study_with(PEERS), 0.825) is None


def test_a_trial_is_judged_by_its_best_epoch() -> None:
    study = study_with(PEERS)
    trial = study.ask()
    for epoch, value in enumerate([0.9, 0.1, 0.1, 0.1], start=1):
        trial.report(value, epoch)
        assert not trial.should_prune()


def test_too_few_peers_stop_nothing() -> None:
    assert epoch_of_pruning(study_with(PEERS - 1), 0.1) is None


def test_peers_that_ended_earlier_have_no_word_on_later_epochs() -> None:
    study = study_with(PEERS, epochs=2)
    assert epoch_of_pruning(study, 0.1) is None


@pytest.mark.parametrize(("direction", "value", "stopped"), [("minimize", 0.9, True), ("minimize", 0.1, False)])
def test_smaller_is_better_where_the_study_minimizes(direction: str, value: float, stopped: bool) -> None:
    assert (epoch_of_pruning(study_with(PEERS, direction=direction), value) is not None) is stopped


def test_the_defaults_are_three_epochs_of_grace_and_five_peers() -> None:
    study = study_with(PEERS)
    study.pruner = patient_median()
    assert epoch_of_pruning(study, 0.1) == 3
    study = study_with(PEERS - 1)
    study.pruner = patient_median()
    assert epoch_of_pruning(study, 0.1) is None
