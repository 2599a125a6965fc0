"""What a Keras trial leaves in the storage beside its value and reports: user attributes of the Optuna trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import Any

import optuna

from autotune.training.checkpoint import FoldScore

_RATE = "learning_rate"  # what Keras's own callbacks call it in the history
FOLD_VALUES = "fold_values"
"""The values of the finished folds, a list; only where there are several folds."""


def note_folds(trial: optuna.Trial, finished: Sequence[FoldScore], n_folds: int) -> None:
    """Leave what the finished folds came to.

    `best_epoch`: the epoch that counts, from 1; a list where there are several folds. With several folds also
    `fold_values` and, from the second fold on, `fold_std` (the sample standard deviation of the values).
    `learning_rates`: those of the epochs, a list for each fold, where a callback has changed them. All other metrics,
    epoch by epoch, are in the artifact `history.json`.

    Args:
        trial: The trial.
        finished: Its finished folds, at least one.
        n_folds: How many there will be.
    """
    rates = [score.history[_RATE] for score in finished if _RATE in score.history]
    if len(rates) == len(finished):
        trial.set_user_attr("learning_rates", rates)
    if n_folds == 1:
        trial.set_user_attr("best_epoch", finished[0].best_epoch)
        return
    values = [score.value for score in finished]
    trial.set_user_attr("best_epoch", [score.best_epoch for score in finished])
    if len(values) > 1:
        trial.set_user_attr("fold_std", stdev(values))
    trial.set_user_attr(FOLD_VALUES, values)


def n_finished_folds(attributes: Mapping[str, Any]) -> int:
    """Return how many folds a trial has finished, by its user attributes; 0 where there is only one fold."""
    values = attributes.get(FOLD_VALUES)
    return len(values) if isinstance(values, list) else 0  # a plain objective may call anything by that name
