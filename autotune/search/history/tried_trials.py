"""The tried configurations of a study, updated trial by trial."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from optuna.trial import FrozenTrial, TrialState

from autotune.search.history.domain import n_values
from autotune.search.history.exhaustion import tried


class Tried:
    """The finished trials whose configurations count as tried.

    Attributes:
        trials: These trials, ordered by number.
    """

    def __init__(self) -> None:
        self.trials: list[FrozenTrial] = []
        self._whole: set[frozenset[str]] = set()  # the sets of parameters of whole configurations
        self._everywhere: set[str] | None = None  # the parameters that all of `trials` have

    def learn(self, trial: FrozenTrial) -> None:
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            self._whole.add(frozenset(trial.params))
        for one in tried([trial]):
            bisect.insort(self.trials, one, key=_number)
            names = set(one.distributions)
            self._everywhere = names if self._everywhere is None else self._everywhere & names

    def being_tried(self, unfinished: Iterable[FrozenTrial]) -> list[FrozenTrial]:
        """Return the running or waiting trials that seem to have all parameters of a configuration."""
        return [trial for trial in unfinished if trial.params and frozenset(trial.params) in self._whole]

    def is_endless(self, being_tried: list[FrozenTrial]) -> bool:
        """Return `exhaustion.is_endless` for `trials` and these, without a loop over all trials."""
        last = (being_tried or self.trials)[-1:]
        if not last:
            return False
        names = {name for name, distribution in last[0].distributions.items() if n_values(distribution) is None}
        if self._everywhere is not None:
            names &= self._everywhere
        return any(all(name in trial.distributions for trial in being_tried) for name in names)


def _number(trial: FrozenTrial) -> int:
    return trial.number
