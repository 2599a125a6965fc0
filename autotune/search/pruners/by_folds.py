"""Pruning with folds: by epochs in the first fold, by finished folds after it.

In the first fold a trial is compared with other trials at the same epoch, as usual. From the second fold on its folds
are compared with the same folds of other trials, so that one lucky epoch of the first fold does not count any more.

What is covered: `NoiseAwarePruner`, which compares the means of the finished folds with those of all trials;
`MedianPruner` and `PercentilePruner`, which compare them with those of complete trials; `WilcoxonPruner`, which
compares the folds one by one, with `NoiseAwarePruner` for the first fold.
What is not covered: other pruners. They see the mean of the finished folds as a further epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from itertools import accumulate

import optuna
from optuna.pruners import BasePruner, MedianPruner, PercentilePruner, WilcoxonPruner
from optuna.trial import FrozenTrial

from autotune.search.history import MappedTrials, StorageView
from autotune.search.pruners.noise_aware import NoiseAwarePruner
from autotune.search.pruners.optuna_settings import settings_of
from autotune.training.records import fold_values


def by_folds(pruner: BasePruner) -> BasePruner:
    """Return a pruner that judges trials by their finished folds when there is more than one of them.

    Args:
        pruner: One of Optuna's pruners; a pruner that is not covered is returned unchanged.
    """
    if isinstance(pruner, WilcoxonPruner):
        return FoldPruner(NoiseAwarePruner(), pruner, takes_means=False)
    if isinstance(pruner, NoiseAwarePruner):
        return FoldPruner(pruner, pruner.of_folds(), takes_means=False)
    if isinstance(pruner, PercentilePruner):
        return FoldPruner(pruner, _without_grace(pruner), takes_means=True)
    return pruner


class FoldPruner(BasePruner):
    """A pruner for the epochs of the first fold, and one for the finished folds.

    Args:
        by_epoch: Decides while there is at most one finished fold.
        by_fold: Decides after that; it sees trials whose steps are their folds, counted from 1.
        takes_means: Whether the value at a step is the mean of the folds so far, or the value of that fold.
    """

    def __init__(self, by_epoch: BasePruner, by_fold: BasePruner, takes_means: bool) -> None:
        self._by_epoch = by_epoch
        self._by_fold = by_fold
        self._takes_means = takes_means

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        if len(_fold_values(trial)) < 2:
            return self._by_epoch.prune(study, trial)
        folds = MappedTrials(study, partial(_as_folds, takes_means=self._takes_means))
        shown = optuna.Study(study.study_name, StorageView(study, folds))
        return self._by_fold.prune(shown, _as_folds(trial, self._takes_means))


def _as_folds(trial: FrozenTrial, takes_means: bool) -> FrozenTrial:
    shown = copy.copy(trial)
    values = _fold_values(trial)
    sums = list(accumulate(values))
    shown.intermediate_values = {
        fold: sums[fold - 1] / fold if takes_means else value for fold, value in enumerate(values, start=1)
    }
    return shown


def _fold_values(trial: FrozenTrial) -> Sequence[float]:
    values: Sequence[float] = fold_values(trial.user_attrs)
    return values


def _without_grace(pruner: PercentilePruner) -> PercentilePruner:
    """Return the pruner without its epochs of grace, which finished folds do not need."""
    was = settings_of(pruner)
    if isinstance(pruner, MedianPruner):
        return MedianPruner(was.n_startup_trials, n_min_trials=was.n_min_trials)
    return PercentilePruner(was.percentile, was.n_startup_trials, n_min_trials=was.n_min_trials)
