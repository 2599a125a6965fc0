"""Which hyperparameters next, and which trial to stop: in Optuna's own interfaces."""

from autotune.search.countable import countable_trial
from autotune.search.curve_search import CurvePruner, CurveSampler, predicted_best, with_epoch_policy
from autotune.search.domain import n_values, value_at
from autotune.search.exhaustion import (
    FAULTS_OF_CONFIGURATION,
    has_more,
    is_countable,
    is_exhausted,
    rough_key,
    tried,
    twin,
)
from autotune.search.finished_trials import FinishedTrials
from autotune.search.fold_pruning import by_folds
from autotune.search.noise_aware import NoiseAwarePruner
from autotune.search.objectives import (
    COPY_OF,
    best_complete,
    best_first,
    direction_sign,
    first_value,
    report,
    should_prune,
)
from autotune.search.pruning_plan import pruning_note
from autotune.search.sampling import SeededSampler, tpe
from autotune.search.space import describe, differences
from autotune.search.storage_view import Change, StorageView

__all__ = [
    "COPY_OF",
    "FAULTS_OF_CONFIGURATION",
    "Change",
    "CurvePruner",
    "CurveSampler",
    "FinishedTrials",
    "NoiseAwarePruner",
    "SeededSampler",
    "StorageView",
    "best_complete",
    "best_first",
    "by_folds",
    "countable_trial",
    "describe",
    "differences",
    "direction_sign",
    "first_value",
    "has_more",
    "is_countable",
    "is_exhausted",
    "n_values",
    "predicted_best",
    "pruning_note",
    "report",
    "rough_key",
    "should_prune",
    "tpe",
    "tried",
    "twin",
    "value_at",
    "with_epoch_policy",
]
