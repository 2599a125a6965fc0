"""What a Keras trial leaves to be read: its attributes, its times, its losses.

Nothing here needs Keras.

attributes      What a Keras trial leaves in the storage beside its value and reports
timing          How long a trial takes, over all the processes that it has needed
refit           Training on all development rows
monitored_loss  A loss that is monitored has to be the same in all trials
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
]
