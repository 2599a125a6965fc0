"""A sample of thousands of trials for TPE: the best ones, and enough of the others.

TPE compares the density of the 25 best configurations with that of all others. Every trial costs time in each
suggestion, but some hundreds of the others are enough to know their density. They are taken evenly over the trial
numbers, so that TPE's weights of old and new trials stay the same. Of each set of parameters (branch of a conditional
space) at least a hundred trials are shown, if there are that many.

The more trials TPE sees, the smaller is the constant that it adds to each density, and the more it tries rare values.
With this sample it goes on exploring as it does after 300 trials. Nine searches of 1,200 trials (ten hyperparameters, a
choice of three that moves the optimum, noise) ended as well as with 600 trials shown: the best value was better in
five, worse in three. Fewer are not enough: with 150 shown, three of nine searches of 500 to 700 trials stayed with the
second best choice of three.

A suggestion among 10,000 trials takes 37 ms in place of 659, among 1,000 42 in place of 85
(scripts/benchmark_shortcuts.py).

What is covered: TPE with Optuna's default number of good trials, and one objective. What is not covered: other
samplers, which see all trials.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autotune.search.history import GivenTrials, StorageView

MOST_SHOWN = 300
"""Up to this number of finished trials, all are shown."""

_N_GOOD = 25  # TPE's number of good trials from 250 trials on: `optuna.samplers._tpe.sampler.default_gamma`
_FEWEST_OF_A_KIND = 100


class _Lean(FrozenTrial):
    """A trial without the data that TPE does not use but reads in each suggestion.

    Properties that TPE reads several times are plain attributes here, because the call of a property takes longer than
    the work that TPE does with its value.
    """

    number = -1
    value: float | None = None
    params: dict[str, Any] = {}  # noqa: RUF012 -- reason: never changed
    constraints: dict[str, float] = {}  # noqa: RUF012 -- reason: never changed

    def __init__(self, trial: FrozenTrial, constraints: dict[str, float]) -> None:
        vars(self).update(vars(trial))
        self.number, self.params, self.constraints = trial.number, trial.params, constraints
        self.value = trial.values[0] if trial.values else None
        self._user_attrs = {}
        self._system_attrs = trial.system_attrs if constraints else {}
        self.intermediate_values = {}
        if trial.state == TrialState.PRUNED and (last := trial.last_step) is not None:  # TPE ranks it by this report
            self.intermediate_values[last] = trial.intermediate_values[last]


class Thinned:
    """The sample of finished trials for TPE, updated trial by trial."""

    def __init__(self) -> None:
        self._n = 0
        self._by_names: defaultdict[frozenset[str], list[_Lean]] = defaultdict(list)
        self._largest: list[tuple[float, int, _Lean]] = []
        self._smallest: list[tuple[float, int, _Lean]] = []

    def learn(self, trial: FrozenTrial) -> None:
        constraints = trial.constraints
        is_feasible = not any(value > 0 for value in constraints.values())
        if trial.state == TrialState.FAIL and is_feasible:
            return
        lean = _Lean(trial, constraints)
        self._n += 1
        bisect.insort(self._by_names[frozenset(trial.params)], lean, key=_number)
        if trial.state == TrialState.COMPLETE and is_feasible and trial.values:
            for best, sign in ((self._largest, -1), (self._smallest, 1)):
                bisect.insort(best, (sign * trial.values[0], trial.number, lean))  # with equal values the first wins
                del best[_N_GOOD:]

    def is_needed(self) -> bool:
        """Tell whether there are so many trials that TPE gets a sample."""
        return self._n > MOST_SHOWN and len(self._largest) == _N_GOOD

    def shown(self, direction: StudyDirection) -> list[FrozenTrial]:
        """Return the sample of finished trials, ordered by number."""
        kept = [t for kind in self._by_names.values() for t in _evenly(kind, len(kind) * MOST_SHOWN // self._n)]
        best = self._largest if direction == StudyDirection.MAXIMIZE else self._smallest
        by_number = {trial.number: trial for trial in (*kept, *(trial for _, _, trial in best))}
        return [by_number[number] for number in sorted(by_number)]

    def kinds(self) -> list[FrozenTrial]:
        """Return the first trial with each set of parameters, ordered by number; they show the whole search space."""
        return sorted((kind[0] for kind in self._by_names.values()), key=_number)


def with_trials(study: optuna.Study, trials: list[FrozenTrial]) -> optuna.Study:
    """Return a view of a study that shows only these trials."""
    view = StorageView(study, GivenTrials(trials))
    return optuna.Study(study.study_name, view, sampler=study.sampler, pruner=study.pruner)


def _evenly(kind: Sequence[FrozenTrial], n: int) -> list[FrozenTrial]:
    """Return `n` evenly spaced trials, but at least `_FEWEST_OF_A_KIND` if there are as many."""
    n = min(len(kind), max(n, _FEWEST_OF_A_KIND))
    return [kind[place * len(kind) // n] for place in range(n)]


def _number(trial: FrozenTrial) -> int:
    return trial.number
