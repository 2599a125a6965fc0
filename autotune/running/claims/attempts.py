"""Counts of how often a trial was lost or ended by an error, and whether it is tried again.

A trial that is tried again keeps its number, parameters and reports.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.optuna_inside import id_of
from autotune.parsing import parsed_or_none

_LOSSES = "autotune:losses"
_ERRORS = "autotune:errors"
_LONGEST_S = 60.0  # a temporary fault is often over after a minute


@dataclass(frozen=True)
class Losses:
    """The losses of a trial since it last reported something new.

    Attributes:
        count: The number of losses.
        steps: The number of its reports at the last loss.
    """

    count: int
    steps: int


@dataclass(frozen=True)
class Errors:
    """The errors that have ended a trial that is tried again.

    Attributes:
        count: The number of errors.
        again_at: The earliest time of the next claim, in seconds since 1970.
    """

    count: int
    again_at: float

    @property
    def wait_s(self) -> float:
        """The wait before the next claim: one second, doubled after each error, at most a minute."""
        return min(_LONGEST_S, 2.0 ** (self.count - 1))


def losses_with_this(trial: FrozenTrial) -> Losses:
    """Return the losses of a trial, including the one that has just happened."""
    steps = len(trial.intermediate_values)
    before = parsed_or_none(Losses, trial.system_attrs.get(_LOSSES)) or Losses(0, 0)
    return Losses(before.count + 1 if steps <= before.steps else 1, steps)


def note_losses(storage: optuna.storages.BaseStorage, trial: FrozenTrial, losses: Losses) -> None:
    """Store the losses of a trial."""
    storage.set_trial_system_attr(id_of(trial), _LOSSES, asdict(losses))


def errors_of(trial: FrozenTrial) -> Errors:
    """Return the errors of a trial so far."""
    return parsed_or_none(Errors, trial.system_attrs.get(_ERRORS)) or Errors(0, 0.0)


def note_error(
    storage: optuna.storages.BaseStorage, trial: FrozenTrial, limit: int, clock: Callable[[], float] = time.time
) -> Errors | None:
    """Store that an error has ended a trial, which is then tried again; return None if it has had `limit` tries."""
    count = errors_of(trial).count + 1
    if count > limit:
        return None
    errors = Errors(count, clock() + Errors(count, 0.0).wait_s)
    storage.set_trial_system_attr(id_of(trial), _ERRORS, asdict(errors))
    return errors


def is_due(trial: FrozenTrial, clock: Callable[[], float] = time.time) -> bool:
    """Tell whether a waiting trial may be claimed.

    A trial that an error has ended first waits. A wrong clock cannot make it wait longer than a minute.
    """
    left = errors_of(trial).again_at - clock()
    return not 0 < left <= _LONGEST_S


def is_tried_again(trial: FrozenTrial) -> bool:
    """Tell whether a trial waits because an error has ended it."""
    return trial.state == TrialState.WAITING and errors_of(trial).count > 0
