"""How the trials of a study train, as far as a model of their curves has to know it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from autotune.errors import UsageError
from autotune.study import EpochPolicy

_RUNG_FACTOR = 2.6  # from one rung to the next
_N_RUNGS = 3
_FEWEST_STARTS, _MOST_STARTS = 4, 8


@dataclass(frozen=True)
class Training:
    """How the trials of a study train.

    Attributes:
        max_epochs: How many epochs a trial trains that is not stopped, at least 1.
        start_epochs: How many epochs it takes as long as to begin a trial, at least 0.
        epoch_policy: Which epoch's report a trial comes to; None for the last, unless somebody knows better.

    Raises:
        UsageError: If one is out of range.
    """

    max_epochs: int
    start_epochs: float = 1.0
    epoch_policy: EpochPolicy | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.max_epochs, int) or isinstance(self.max_epochs, bool) or self.max_epochs < 1:
            raise UsageError(
                f"max_epochs={self.max_epochs!r} is out of range.",
                "It is the number of epochs that a whole trial trains, an integer of at least 1.",
                "Give the study's `epochs`.",
            )
        start = self.start_epochs
        if not isinstance(start, int | float) or isinstance(start, bool) or not 0.0 <= start < math.inf:
            raise UsageError(
                f"start_epochs={start!r} is out of range.",
                "It is how many epochs it takes as long as to begin a trial, a number of at least 0.",
                "Divide the seconds before a trial's first epoch by those of an epoch, or leave it out.",
            )
        if self.epoch_policy is not None and self.epoch_policy not in get_args(EpochPolicy):
            raise UsageError(
                f"epoch_policy={self.epoch_policy!r} is not known.",
                'It is "best" where the best epoch of a trial counts, "last" where the last one does.',
                "Give the study's `epoch_policy`.",
            )

    @cached_property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which a trial may be stopped, before the last one.

        None before it has trained for longer than it took to begin, or for more than a tenth of its epochs.
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
        """The epochs after which something is learnt of a trial: its rungs and the last one."""
        return (*self.rungs, self.max_epochs)

    @cached_property
    def n_start(self) -> int:
        """How many trials there are before there is a model: as many as take as long as a whole one, within limits."""
        return min(max(int(self.max_epochs / (self.start_epochs + self.looks[0])), _FEWEST_STARTS), _MOST_STARTS)
