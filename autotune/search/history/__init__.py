"""The trials of a study: which configurations have been tried, and which are left.

These functions take Optuna's trials and studies, and do not change them.

countable        Distributions whose choices are lists or dicts, with text as choices instead
domain           The values of a distribution: their number, and the index of each
exhaustion       The configurations that have been tried, and whether any are left
tried_trials     The tried configurations of a study, updated trial by trial
finished_trials  A reader of finished trials that visits each of them once
storage_view     A view of one study's storage that shows its trials changed or cached
objectives       Studies with one objective or several: the first is the metric, the others are costs of the network
describing       Descriptions of search spaces, and of the differences between two
"""

from autotune.search.history.countable import countable, countable_trial
from autotune.search.history.describing import describe, differences
from autotune.search.history.domain import n_values, value_at
from autotune.search.history.exhaustion import (
    FAULTS_OF_CONFIGURATION,
    all_tried,
    below,
    draw_untried,
    has_more,
    is_countable,
    is_exhausted,
    n_untried,
    rough_key,
    tried,
    twin,
)
from autotune.search.history.finished_trials import FinishedTrials
from autotune.search.history.objectives import (
    COPY_OF,
    GUESS,
    LEARNED_FROM,
    best_complete,
    best_first,
    direction_sign,
    first_value,
    report,
    should_prune,
)
from autotune.search.history.storage_view import Change, GivenTrials, MappedTrials, StorageView, all_trials
from autotune.search.history.tried_trials import Tried

__all__ = [
    "COPY_OF",
    "FAULTS_OF_CONFIGURATION",
    "GUESS",
    "LEARNED_FROM",
    "Change",
    "FinishedTrials",
    "GivenTrials",
    "MappedTrials",
    "StorageView",
    "Tried",
    "all_trials",
    "all_tried",
    "below",
    "best_complete",
    "best_first",
    "countable",
    "countable_trial",
    "describe",
    "differences",
    "direction_sign",
    "draw_untried",
    "first_value",
    "has_more",
    "is_countable",
    "is_exhausted",
    "n_untried",
    "n_values",
    "report",
    "rough_key",
    "should_prune",
    "tried",
    "twin",
    "value_at",
]
