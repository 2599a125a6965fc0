"""A study of thousands of trials as TPE is shown it: the best, and of the others enough.

TPE compares the density of the 25 best configurations with that of all others. Each of these costs it time in every
suggestion, while their density is known well enough from some hundreds of them. These are taken evenly over the numbers
of the trials, so that the weights that TPE gives to old and new ones stay as they are. Of each set of parameters
(branches of a conditional space) a hundred are shown if there are so many.

The more trials TPE sees the smaller is what it adds to each density, and the more it tries what is rare among them. So
it goes on exploring as it does after 300 trials. Nine searches of 1,200 trials (ten hyperparameters, a choice of three
that moves the optimum, noise) ended as well as with 600 shown: the best value was better in five, worse in three. Fewer
would not do: with 150 shown, three of nine searches of 500 to 700 trials never left the second best choice of three.

What is covered: TPE with Optuna's own number of good trials, and one objective. What is not: other samplers, which see
all trials.
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
"""So many finished trials are shown as they are."""

_N_GOOD = 25  # of 250 trials and more: `optuna.samplers._tpe.sampler.default_gamma`
_FEWEST_OF_A_KIND = 100


class _Lean(FrozenTrial):
    """A trial without what TPE does not look at, but looks through in each suggestion.

    What it looks at several times, of each trial, are attributes here: a call of a property takes longer than what TPE
    does with its value.
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
        if trial.state == TrialState.PRUNED and (last := trial.last_step) is not None:  # which it is ranked by
            self.intermediate_values[last] = trial.intermediate_values[last]


class Thinned:
    """What TPE can learn from, as lean as it may be."""

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
                bisect.insort(best, (sign * trial.values[0], trial.number, lean))  # of equals the first, as in TPE
                del best[_N_GOOD:]

    def is_needed(self) -> bool:
        """Say whether there are so many trials that TPE is to see a part of them."""
        return self._n > MOST_SHOWN and len(self._largest) == _N_GOOD

    def shown(self, direction: StudyDirection) -> list[FrozenTrial]:
        """Return the finished trials that are shown, by their numbers."""
        kept = [t for kind in self._by_names.values() for t in _evenly(kind, len(kind) * MOST_SHOWN // self._n)]
        best = self._largest if direction == StudyDirection.MAXIMIZE else self._smallest
        by_number = {trial.number: trial for trial in (*kept, *(trial for _, _, trial in best))}
        return [by_number[number] for number in sorted(by_number)]

    def kinds(self) -> list[FrozenTrial]:
        """Return the first trial with each set of parameters, by their numbers: they are the whole search space."""
        return sorted((kind[0] for kind in self._by_names.values()), key=_number)


def with_trials(study: optuna.Study, trials: list[FrozenTrial]) -> optuna.Study:
    """Return a study with the same storage that shows these trials only."""
    view = StorageView(study, GivenTrials(trials))
    return optuna.Study(study.study_name, view, sampler=study.sampler, pruner=study.pruner)


def _evenly(kind: Sequence[FrozenTrial], n: int) -> list[FrozenTrial]:
    """Return so many of the trials of a kind, or the fewest that are shown of each."""
    n = min(len(kind), max(n, _FEWEST_OF_A_KIND))
    return [kind[place * len(kind) // n] for place in range(n)]


def _number(trial: FrozenTrial) -> int:
    return trial.number
