"""The user attributes of a Keras trial: best epoch, values of folds, learning rates, times, weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from autotune.parsing import parsed_or_none
from autotune.training.checkpoints import FoldScore

_RATE = "learning_rate"  # the name that Keras's own callbacks give it in the history
MEASURED_AGAIN = "measured_again"
"""The attribute that says how a second measurement of the model differs from its history; set only if it differs."""

FOLD_VALUES = "fold_values"
"""The attribute with the values of the finished folds, a list; set only if there are several folds."""


def note_folds(trial: optuna.Trial, finished: Sequence[FoldScore], n_folds: int) -> None:
    """Store the results of the finished folds as user attributes of the trial.

    `best_epoch`: the epoch that counts, from 1; a list if there are several folds. With several folds also
    `fold_values` and, from the second fold on, `fold_std` (the sample standard deviation of the values).
    `learning_rates`: the learning rate of each epoch, a list for each fold, if a callback has changed it. `stage_ends`:
    the number of epochs after each stage but the last, a list for each fold, if there are several. The artifact
    `history.json` holds all other metrics, epoch by epoch.

    Args:
        trial: The trial.
        finished: Its finished folds, at least one.
        n_folds: The number of all folds.
    """
    if any(score.stage_ends for score in finished):
        trial.set_user_attr("stage_ends", [score.stage_ends for score in finished])
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
    """Return the number of finished folds from a trial's user attributes; 0 if the study has only one fold."""
    return len(fold_values(attributes))


def fold_values(attributes: Mapping[str, Any]) -> list[float]:
    """Return the values of the finished folds; an empty list if the study has only one fold."""
    return _known(list[float], attributes.get(FOLD_VALUES)) or []


def best_epoch(trial: FrozenTrial) -> int | list[int] | None:
    """Return the epoch that counts, from 1, or a list of one for each of several folds; None if it is not known."""
    found: int | list[int] | None = _known(int | list[int], trial.user_attrs.get("best_epoch"))
    return found


def learning_rates(trial: FrozenTrial) -> list[list[float]]:
    """Return the learning rates of the epochs, a list for each fold; an empty list if no callback has changed them."""
    return _known(list[list[float]], trial.user_attrs.get("learning_rates")) or []


def stage_ends(trial: FrozenTrial) -> list[list[int]]:
    """Return the number of epochs after each stage but the last, a list for each fold; an empty list for one stage."""
    return _known(list[list[int]], trial.user_attrs.get("stage_ends")) or []


def seconds_of(trial: FrozenTrial) -> tuple[float, float] | None:
    """Return the seconds that a trial spent in `Model.fit` and those that its processes ran; None if not known."""
    fit, process = (_known(float, trial.user_attrs.get(f"{name}_seconds")) for name in ("fit", "process"))
    return None if fit is None or process is None else (fit, process)


def n_parameters(trial: FrozenTrial) -> int | None:
    """Return the number of weights of a trial's network; None if it is not known."""
    found: int | None = _known(int, trial.user_attrs.get("n_parameters"))
    return found


def _known(kind: Any, stored: Any) -> Any:
    """Return a stored attribute; None if it has another type, as a plain objective may use the same name."""
    return parsed_or_none(kind, stored)
