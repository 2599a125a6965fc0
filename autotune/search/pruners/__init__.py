"""Which trials are stopped early: by their epochs, then by their folds.

told          What Optuna's pruners were told when they were made, and keep to themselves
percentiles   Optuna's percentile pruners, without a look at every trial of the study after each report
noise_aware   The pruner of studies that name none: it knows how noisy reports are, and survivors do not raise its bar
by_folds      Pruning with folds: by epochs within the first fold, by the folds that are finished after it
pruning_plan  What a pruner will do with as many trials and epochs as a study has, said before anything is trained
"""

from autotune.search.pruners.by_folds import by_folds
from autotune.search.pruners.noise_aware import NoiseAwarePruner
from autotune.search.pruners.pruning_plan import pruning_note

__all__ = ["NoiseAwarePruner", "by_folds", "pruning_note"]
