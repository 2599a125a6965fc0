"""What has been tried in a study, learned trial by trial."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from optuna.trial import FrozenTrial, TrialState

from autotune.search.history.domain import n_values
from autotune.search.history.exhaustion import tried


class Tried:
    """What says whether there is anything left to try.

    Attributes:
        trials: The finished trials whose configurations need not be tried again, by their numbers.
    """

    def __init__(self) -> None:
        self.trials: list[FrozenTrial] = []
        self._whole: set[frozenset[str]] = set()  # names of parameters with which nothing was missing
        self._everywhere: set[str] | None = None  # names that all of `trials` have

    def learn(self, trial: FrozenTrial) -> None:
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            self._whole.add(frozenset(trial.params))
        for one in tried([trial]):
            bisect.insort(self.trials, one, key=_number)
            names = set(one.distributions)
            self._everywhere = names if self._everywhere is None else self._everywhere & names

    def being_tried(self, unfinished: Iterable[FrozenTrial]) -> list[FrozenTrial]:
        """Return the trials that run or wait, and have all their parameters as far as one can know."""
        return [trial for trial in unfinished if trial.params and frozenset(trial.params) in self._whole]

    def is_endless(self, being_tried: list[FrozenTrial]) -> bool:
        """Say what `exhaustion.is_endless` says of `trials` and these, without a look at each."""
        last = (being_tried or self.trials)[-1:]
        if not last:
            return False
        names = {name for name, distribution in last[0].distributions.items() if n_values(distribution) is None}
        if self._everywhere is not None:
            names &= self._everywhere
        return any(all(name in trial.distributions for trial in being_tried) for name in names)


def _number(trial: FrozenTrial) -> int:
    return trial.number
