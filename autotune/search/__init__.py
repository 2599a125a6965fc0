"""Which hyperparameters next, and which trial to stop: in Optuna's own interfaces."""

from autotune.search.exhaustion import FAULTS_OF_CONFIGURATION, is_exhausted, tried, twin
from autotune.search.fold_pruning import by_folds
from autotune.search.pruning import patient_median
from autotune.search.sampling import SeededSampler, tpe
from autotune.search.space import differences
from autotune.search.storage_view import Change, StorageView

__all__ = [
    "FAULTS_OF_CONFIGURATION",
    "Change",
    "SeededSampler",
    "StorageView",
    "by_folds",
    "differences",
    "is_exhausted",
    "patient_median",
    "tpe",
    "tried",
    "twin",
]
