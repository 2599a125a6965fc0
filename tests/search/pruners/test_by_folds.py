"""From the second fold on a trial is judged by its folds, beside the same folds of others."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
import pytest
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, PercentilePruner, WilcoxonPruner

from autotune.search.pruners import NoiseAwarePruner, by_folds
from autotune.training.records.attributes import FOLD_VALUES

EPOCHS = 4


def train(study: optuna.Study, folds: Sequence[float], lucky: float | None = None) -> int | None:
    """Train a trial whose folds have these values; return the fold in or after which it was pruned.

    Args:
        study: The study.
        folds: The values of its folds, each epoch of the first one included.
        lucky: The value of the second epoch of the first fold; None for that of the fold.
    """
    trial = study.ask()
    for epoch in range(1, EPOCHS + 1):
        trial.report(lucky if lucky is not None and epoch == 2 else folds[0], epoch)
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return 1
    for fold in range(2, len(folds) + 1):
        trial.set_user_attr(FOLD_VALUES, folds[:fold])
        trial.report(sum(folds[:fold]) / fold, EPOCHS + fold - 1)
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return fold
    study.tell(trial, sum(folds) / len(folds))
    return None


def study_with(pruner: BasePruner, peers: int = 5, direction: str = "maximize", n_folds: int = 8) -> optuna.Study:
    """Return a study with complete trials at about 0.8, whose odd folds are easier than the even ones."""
    study = optuna.create_study(direction=direction, pruner=optuna.pruners.NopPruner())
    for peer in range(peers):
        train(study, [0.8 + 0.01 * peer + 0.1 * (fold % 2) for fold in range(n_folds)])
    study.pruner = by_folds(pruner)
    return study


def named(pruner: BasePruner) -> str:
    return type(pruner).__name__


MEDIAN = MedianPruner(n_startup_trials=5, n_warmup_steps=2, n_min_trials=5)


@pytest.mark.parametrize("pruner", [MEDIAN, NoiseAwarePruner(2)], ids=named)
def test_one_lucky_epoch_does_not_shield_bad_folds(pruner: BasePruner) -> None:
    assert train(study_with(pruner), [0.3] * 8, lucky=0.99) == 2


@pytest.mark.parametrize("pruner", [MEDIAN, NoiseAwarePruner()], ids=named)
def test_within_the_first_fold_epochs_decide(pruner: BasePruner) -> None:
    assert train(study_with(pruner), [0.3] * 8) == 1


@pytest.mark.parametrize(("pruner", "stopped"), [(MEDIAN, 2), (NoiseAwarePruner(EPOCHS + 1), 3)])
def test_folds_of_stopped_trials_count_for_those_that_know_noise(pruner: BasePruner, stopped: int) -> None:
    study = study_with(pruner)
    for _ in range(12):
        assert train(study, [0.3] * 8, lucky=0.99) == 2
    # The worst of the complete ones, 0.80 to 0.84, beside which alone it stands in the third fold.
    assert train(study, [0.795 + 0.1 * (fold % 2) for fold in range(8)], lucky=0.99) == stopped


@pytest.mark.parametrize(
    "pruner",
    [MEDIAN, PercentilePruner(25.0, 5, 2, n_min_trials=5), WilcoxonPruner(), NoiseAwarePruner()],
    ids=named,
)
def test_a_trial_with_better_folds_goes_on(pruner: BasePruner) -> None:
    assert train(study_with(pruner), [0.9] * 8) is None


def test_a_percentile_keeps_its_percentile_among_folds() -> None:
    folds = [0.815, *[0.815 + 0.1 * (fold % 2) for fold in range(1, 8)]]  # the third best of six
    assert train(study_with(PercentilePruner(20.0, 5, 2, n_min_trials=5)), folds, lucky=0.99) == 2
    assert train(study_with(PercentilePruner(80.0, 5, 2, n_min_trials=5)), folds, lucky=0.99) is None


def test_wilcoxon_compares_fold_with_fold() -> None:
    # Worse by a little in each fold: far less than the folds differ among themselves, which is no noise in pairs.
    best = [0.84 + 0.1 * (fold % 2) for fold in range(8)]
    pruned = train(study_with(WilcoxonPruner(p_threshold=0.1)), [value - 0.005 for value in best])
    assert pruned == 4  # a signed rank test has p = 1 / 2 ** n for n pairs that all say the same


def test_wilcoxon_leaves_the_first_fold_to_the_median_of_peers() -> None:
    assert train(study_with(WilcoxonPruner()), [0.3] * 8) == 1


def test_smaller_is_better_where_the_study_minimizes() -> None:
    assert train(study_with(MEDIAN, direction="minimize"), [0.99] * 8, lucky=0.1) == 2
    assert train(study_with(MEDIAN, direction="minimize"), [0.1] * 8) is None


def test_other_pruners_come_back_as_they_are() -> None:
    pruner = HyperbandPruner(max_resource=10)
    assert by_folds(pruner) is pruner
