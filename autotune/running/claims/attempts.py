"""How often a trial was lost, or ended by an error, and whether it is tried again: as itself, not as a new trial."""

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
_LONGEST_S = 60.0  # what is flaky is often well after a minute


@dataclass(frozen=True)
class Losses:
    """How often a trial was lost since it last reported something new.

    Attributes:
        count: How often.
        steps: How many reports it had the last time.
    """

    count: int
    steps: int


@dataclass(frozen=True)
class Errors:
    """How often an error has ended a trial that is tried again.

    Attributes:
        count: How often.
        again_at: When it may be claimed again, in seconds since 1970.
    """

    count: int
    again_at: float

    @property
    def wait_s(self) -> float:
        """For how long nobody claims it: a second, and twice as long each time, but a minute at most."""
        return min(_LONGEST_S, 2.0 ** (self.count - 1))


def losses_with_this(trial: FrozenTrial) -> Losses:
    """Return how often a trial was lost, now that it is once more."""
    steps = len(trial.intermediate_values)
    before = parsed_or_none(Losses, trial.system_attrs.get(_LOSSES)) or Losses(0, 0)
    return Losses(before.count + 1 if steps <= before.steps else 1, steps)


def note_losses(storage: optuna.storages.BaseStorage, trial: FrozenTrial, losses: Losses) -> None:
    """Note how often a trial was lost."""
    storage.set_trial_system_attr(id_of(trial), _LOSSES, asdict(losses))


def errors_of(trial: FrozenTrial) -> Errors:
    """Return what errors have done to a trial so far."""
    return parsed_or_none(Errors, trial.system_attrs.get(_ERRORS)) or Errors(0, 0.0)


def note_error(
    storage: optuna.storages.BaseStorage, trial: FrozenTrial, limit: int, clock: Callable[[], float] = time.time
) -> Errors | None:
    """Note that an error has ended a trial, which is to be tried again; None if that has happened `limit` times."""
    count = errors_of(trial).count + 1
    if count > limit:
        return None
    errors = Errors(count, clock() + Errors(count, 0.0).wait_s)
    storage.set_trial_system_attr(id_of(trial), _ERRORS, asdict(errors))
    return errors


def is_due(trial: FrozenTrial, clock: Callable[[], float] = time.time) -> bool:
    """Say whether a trial that waits may be claimed: one that an error has ended waits a while, whatever clocks do."""
    left = errors_of(trial).again_at - clock()
    return not 0 < left <= _LONGEST_S


def is_tried_again(trial: FrozenTrial) -> bool:
    """Say whether a trial waits because an error has ended it."""
    return trial.state == TrialState.WAITING and errors_of(trial).count > 0
