"""How many trials there are to be, and when there need not be so many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from optuna.trial import FrozenTrial, TrialState

from autotune.search.history import first_value
from autotune.stopping_rule import StopWhenFlat

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Budget:
    """How many trials there are to be, and what counts as one.

    Attributes:
        n_trials: How many finished (complete or pruned) trials the study is to have; None for those that are there,
            each of which is run as it is, and no others.
        count_failed: Whether a failed trial (unless it was lost) is spent, too.
        max_retries: How often a trial may be lost, without a new report in between, before it fails.
        retry_errors: How often a trial that an error has ended is tried again.
        stop: When no more are to be made although some are missing; None for never.
    """

    n_trials: int | None
    count_failed: bool = False
    max_retries: int = 2
    stop: StopWhenFlat | None = None
    retry_errors: int = 0

    def is_met_by(self, n_trials: int) -> bool:
        """Tell whether with so many trials that count no more are to be made."""
        return self.n_trials is None or n_trials >= self.n_trials

    def flat_since(self, trials: Sequence[FrozenTrial], direction: str) -> int | None:
        """Return the number of the trial that none was better than for too long; None if that is not so.

        Args:
            trials: All trials, by their numbers.
            direction: "maximize" or "minimize".
        """
        if self.stop is None:
            return None
        counted = [trial for trial in trials if trial.state != TrialState.FAIL]
        first = list(takewhile(lambda trial: trial.state in FINISHED, counted))
        values = [first_value(trial) if trial.state == TrialState.COMPLETE else None for trial in first]
        since = self.stop.flat_since(values, direction)
        return None if since is None else first[since].number
