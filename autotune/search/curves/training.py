"""The settings of a study's training that the model of its curves needs: epochs, cost of a start, epoch policy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from autotune.errors import UsageError
from autotune.study import EpochPolicy

_RUNG_FACTOR = 2.6  # ratio of the epochs of two rungs
_N_RUNGS = 3
_FEWEST_STARTS, _MOST_STARTS = 4, 8


@dataclass(frozen=True)
class Training:
    """The settings of a study's training.

    Attributes:
        max_epochs: Number of epochs of a trial that is not stopped, at least 1.
        start_epochs: The cost of starting a trial, in epochs, at least 0.
        epoch_policy: Which report is the value of a trial; None for the last, unless the study file sets another.

    Raises:
        UsageError: If a setting is out of range.
    """

    max_epochs: int
    start_epochs: float = 1.0
    epoch_policy: EpochPolicy | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.max_epochs, int) or isinstance(self.max_epochs, bool) or self.max_epochs < 1:
            raise UsageError(
                f"max_epochs={self.max_epochs!r} is out of range.",
                "Expected the number of epochs of a trial that is not stopped, an integer of at least 1.",
                "Give the study's `epochs`.",
            )
        start = self.start_epochs
        if not isinstance(start, int | float) or isinstance(start, bool) or not 0.0 <= start < math.inf:
            raise UsageError(
                f"start_epochs={start!r} is out of range.",
                "Expected the time to start a trial, in epochs, a number of at least 0.",
                "Divide the seconds before a trial's first epoch by the seconds of an epoch, or leave it out.",
            )
        if self.epoch_policy is not None and self.epoch_policy not in get_args(EpochPolicy):
            raise UsageError(
                f"epoch_policy={self.epoch_policy!r} is not known.",
                'Expected "best" if the best epoch of a trial counts, "last" if the last one counts.',
                "Give the study's `epoch_policy`.",
            )

    @cached_property
    def rungs(self) -> tuple[int, ...]:
        """The epochs before the last one at which a trial may be stopped.

        There is no rung before a trial has trained longer than its start took, or longer than a tenth of its epochs.
        """
        found: list[int] = []
        at = self.max_epochs / _RUNG_FACTOR
        while at >= 1.0 and len(found) < _N_RUNGS:
            found.append(round(at))
            at /= _RUNG_FACTOR
        after = min(self.start_epochs, self.max_epochs / 10)
        return tuple(epoch for epoch in reversed(found) if epoch > after)

    @cached_property
    def looks(self) -> tuple[int, ...]:
        """The epochs after which the model is updated: the rungs and the last epoch."""
        return (*self.rungs, self.max_epochs)

    @cached_property
    def n_start(self) -> int:
        """The number of trials before there is a model: together they take as long as a whole one, within limits."""
        return min(max(int(self.max_epochs / (self.start_epochs + self.looks[0])), _FEWEST_STARTS), _MOST_STARTS)
