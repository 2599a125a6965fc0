"""What has been tried, and what is left to try.

Records of Optuna's in, answers out: nothing is written here.

countable        Choices that are lists or dicts, as text
domain           The values of a distribution, counted and numbered
exhaustion       What has been tried, and whether anything is left to try
tried_trials     What has been tried in a study, learned trial by trial
finished_trials  The finished trials of a study, each looked at once
storage_view     One study in a storage, with its trials read in another way
objectives       Studies with one objective or several: the first is the metric, the others are what the network costs
describing       Search spaces, compared and said in words
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
