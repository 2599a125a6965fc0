"""Pruners, which stop trials early: by the epochs of the first fold, then by finished folds.

optuna_settings  The settings of Optuna's pruners, read from their private attributes
noise_aware      The default pruner, which takes the noise of reports into account
by_folds         Pruning with folds: by epochs in the first fold, by finished folds after it
pruning_plan     Warnings, before the first trial, about a pruner that does not fit the numbers of trials and epochs
"""

from autotune.search.pruners.by_folds import by_folds
from autotune.search.pruners.noise_aware import NoiseAwarePruner
from autotune.search.pruners.pruning_plan import pruning_note

__all__ = ["NoiseAwarePruner", "by_folds", "pruning_note"]
