"""What a Keras trial leaves in the storage beside its value and reports: user attributes of the Optuna trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from autotune.parsing import parsed_or_none
from autotune.training.checkpoints import FoldScore

_RATE = "learning_rate"  # what Keras's own callbacks call it in the history
MEASURED_AGAIN = "measured_again"
"""How the model of a trial differs from its record when it is measured again; only where it does."""

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
    return len(fold_values(attributes))


def fold_values(attributes: Mapping[str, Any]) -> list[float]:
    """Return the values of the finished folds; none where there is only one fold."""
    return _known(list[float], attributes.get(FOLD_VALUES)) or []


def best_epoch(trial: FrozenTrial) -> int | list[int] | None:
    """Return the epoch that counts, from 1, one for each fold if there are several; None where it is not known."""
    found: int | list[int] | None = _known(int | list[int], trial.user_attrs.get("best_epoch"))
    return found


def learning_rates(trial: FrozenTrial) -> list[list[float]]:
    """Return the learning rates of the epochs, a list for each fold; none where no callback has changed them."""
    return _known(list[list[float]], trial.user_attrs.get("learning_rates")) or []


def seconds_of(trial: FrozenTrial) -> tuple[float, float] | None:
    """Return how long a trial was in `Model.fit`, and its processes ran, in seconds; None where it is not known."""
    fit, process = (_known(float, trial.user_attrs.get(f"{name}_seconds")) for name in ("fit", "process"))
    return None if fit is None or process is None else (fit, process)


def n_parameters(trial: FrozenTrial) -> int | None:
    """Return how many weights a trial's network has; None where it is not known."""
    found: int | None = _known(int, trial.user_attrs.get("n_parameters"))
    return found


def _known(kind: Any, stored: Any) -> Any:
    """Return what was stored; None where it is something else: a plain objective may call anything by that name."""
    return parsed_or_none(kind, stored)
