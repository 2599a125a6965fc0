"""What a run is going to do: which study, which trials, which rows.

stored_study  What a storage knows of a study: its directions, its trials, the space they have come from
queued        Trials that are known beforehand
recovery      What dead parents have left, put back before anything else is done
plan          What a run is going to do: the study as declared, its data, its settings, held against what is stored
"""

from autotune.running.planning.plan import KERAS_MODULES, MODULES, Plan, Preparer
from autotune.running.planning.queued import LEARNING_CURVE, Queue, QueuedTrial, key_of, refit_noted
from autotune.running.planning.stored_study import (
    find_study,
    forget_refused,
    forget_unbegun,
    open_study,
    raise_total,
    study_names,
)

__all__ = [
    "KERAS_MODULES",
    "LEARNING_CURVE",
    "MODULES",
    "Plan",
    "Preparer",
    "Queue",
    "QueuedTrial",
    "find_study",
    "forget_refused",
    "forget_unbegun",
    "key_of",
    "open_study",
    "raise_total",
    "refit_noted",
    "study_names",
]
