"""The number of trials that a study should have, and the rule to stop before."""

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
    """The number of trials that a study should have, and which trials count.

    Attributes:
        n_trials: The number of finished (complete or pruned) trials that the study should have. None for the trials
            that are stored already: only these run.
        count_failed: Whether failed trials count, too, except lost ones.
        max_retries: How often a trial may be lost, without a new report in between, before it fails.
        retry_errors: How often a trial that an error has ended is tried again.
        stop: The rule to stop before there are `n_trials` trials; None for no rule.
    """

    n_trials: int | None
    count_failed: bool = False
    max_retries: int = 2
    stop: StopWhenFlat | None = None
    retry_errors: int = 0

    def is_met_by(self, n_trials: int) -> bool:
        """Tell whether no new trial is needed if `n_trials` trials count so far."""
        return self.n_trials is None or n_trials >= self.n_trials

    def flat_since(self, trials: Sequence[FrozenTrial], direction: str) -> int | None:
        """Return the number of the trial since which the study has not improved, if that is long enough to stop.

        Args:
            trials: All trials, ordered by number.
            direction: "maximize" or "minimize".
        """
        if self.stop is None:
            return None
        counted = [trial for trial in trials if trial.state != TrialState.FAIL]
        first = list(takewhile(lambda trial: trial.state in FINISHED, counted))
        values = [first_value(trial) if trial.state == TrialState.COMPLETE else None for trial in first]
        since = self.stop.flat_since(values, direction)
        return None if since is None else first[since].number
