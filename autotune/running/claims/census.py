"""What trials are to those who claim them: how many count, which are the same, and which have yet to begin."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from autotune.running.study import FINISHED, Budget
from autotune.search.history import rough_key, twin


class Books:
    """What there is to know of the finished trials of one study.

    Args:
        budget: Says whether failed trials count.

    Attributes:
        n_finished: How many are complete or pruned.
        n_counted: How many count: those, and failed ones that are spent.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.n_finished = self.n_counted = 0
        self._by_key: defaultdict[Hashable, list[FrozenTrial]] = defaultdict(list)

    def learn(self, trial: FrozenTrial) -> None:
        if trial.state in FINISHED:
            self.n_finished += 1
            bisect.insort(self._by_key[rough_key(trial.params, trial.distributions)], trial, key=lambda t: t.number)
        self.n_counted += trial.state in FINISHED or is_spent(trial, self._budget)

    def twin(self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> FrozenTrial | None:
        """Return the first complete or pruned trial that has exactly these parameters; None if there is none."""
        return twin(self._by_key.get(rough_key(params, distributions), ()), params)


def is_spent(trial: FrozenTrial, budget: Budget) -> bool:
    """Say whether a failed trial counts although it has failed."""
    is_lost = trial.user_attrs.get("failure") == "lost"
    return budget.count_failed and trial.state == TrialState.FAIL and not is_lost


def has_begun(trial: FrozenTrial) -> bool:
    """Say whether a trial runs or is finished, or has been interrupted."""
    return trial.state != TrialState.WAITING or bool(trial.params)


def is_fresh(trial: FrozenTrial) -> bool:
    """Say whether a trial waits for a sampler to say what it is to try."""
    return trial.state == TrialState.WAITING and not trial.params and not trial.system_attrs.get("fixed_params")
