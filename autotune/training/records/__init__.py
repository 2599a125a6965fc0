"""Records of a Keras trial that other rooms read: its user attributes, its times, its monitored loss.

Nothing here needs Keras.

attributes      The user attributes of a Keras trial: best epoch, values of folds, learning rates, times, weights
timing          A timer for the phases of a trial, over all processes that have trained it
refit           The settings of a refit: training on all development rows, without validation rows
monitored_loss  A description of a monitored loss, which must be the same in all trials
"""

from autotune.training.records.attributes import (
    FOLD_VALUES,
    MEASURED_AGAIN,
    best_epoch,
    fold_values,
    learning_rates,
    n_finished_folds,
    n_parameters,
    note_folds,
    seconds_of,
    stage_ends,
)
from autotune.training.records.monitored_loss import MONITORED_LOSS, describe_loss, is_loss
from autotune.training.records.refit import Refit
from autotune.training.records.timing import Phase, Timer, noting_time

__all__ = [
    "FOLD_VALUES",
    "MEASURED_AGAIN",
    "MONITORED_LOSS",
    "Phase",
    "Refit",
    "Timer",
    "best_epoch",
    "describe_loss",
    "fold_values",
    "is_loss",
    "learning_rates",
    "n_finished_folds",
    "n_parameters",
    "note_folds",
    "noting_time",
    "seconds_of",
    "stage_ends",
]
