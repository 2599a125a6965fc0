"""Which hyperparameters next, and which trial to stop: in Optuna's own interfaces."""

from autotune.search.pruning import patient_median
from autotune.search.sampling import SeededSampler, tpe
from autotune.search.space import differences

__all__ = ["SeededSampler", "differences", "patient_median", "tpe"]
