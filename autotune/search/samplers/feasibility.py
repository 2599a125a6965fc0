"""Which configurations would run out of memory or time, guessed from those that did.

TPE puts failed trials behind all others, but its good ones draw it to the boundary, and over it again and again: what
needs more memory is often better. So a proposal that is likely to fail is turned down, the likelier the more often, and
the sampler is asked again. How likely it is says a logistic regression on the unit cube: memory and time grow or fall
with most hyperparameters, and a product of two of them that are searched on logarithmic scales is a plane there.

Of 60 trials where batch size times units has a limit, and more is better up to there (tests/search/test_infeasible.py,
seeds 0 to 3), 30, 30 and 33 % of the first, second and last 20 failed without it; with it 24, 11 and 12 %.

What is covered: numbers on any scale, choices, conditional parameters, trials that failed before they had them all.
What is not covered: regions in the middle of a range that fail, which a plane cannot cut out.

Symbols: n trials that ran or failed so, p columns of the cube and one of ones; X are these, shape (n, p).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from autotune.search.curves import CurveSpace, searched

_PRIOR = 5.0  # standard deviation of a weight: from end to end of a range, the odds of failing change by e ** 5
_STEPS, _LONGEST = 12, 3.0  # of Newton's method, after which nothing moves
_Array = NDArray[np.float64]


def never(params: Mapping[str, Any]) -> float:
    """Return the chance to fail where nothing has: 0."""
    return 0.0


class Feasibility:
    """What is known of who fails, learned trial by trial."""

    def __init__(self) -> None:
        self._trials: list[tuple[int, FrozenTrial, bool]] = []
        self._n_failed = 0
        self._fitted: tuple[int, Callable[[Mapping[str, Any]], float]] = (0, never)  # to so many trials

    def learn(self, trial: FrozenTrial) -> None:
        has_failed = trial.state == TrialState.FAIL and any(value > 0 for value in trial.constraints.values())
        if trial.params and (has_failed or trial.state in (TrialState.COMPLETE, TrialState.PRUNED)):
            self._trials.append((trial.number, trial, has_failed))
            self._n_failed += has_failed

    def fitted(self) -> Callable[[Mapping[str, Any]], float]:
        """Return a function from parameters to their chance to fail; `never` where none has failed, or all have."""
        if not 0 < self._n_failed < len(self._trials):
            return never
        if self._fitted[0] != len(self._trials):
            self._trials.sort(key=itemgetter(0))  # whatever order they have ended in
            trials = [trial for _, trial, _ in self._trials]
            space = CurveSpace(searched(trials), {})
            x = _columns(space, [trial.params for trial in trials])
            weights = _regressed(x, np.array([has_failed for _, _, has_failed in self._trials], float))
            self._fitted = len(self._trials), lambda params: float(_logistic(_columns(space, [params]) @ weights)[0])
        return self._fitted[1]


def _regressed(x: _Array, failed: _Array) -> _Array:
    """Return the weights, shape (p,), of a logistic regression with a normal prior."""
    weights = np.zeros(x.shape[1])
    precision = np.full(len(weights), _PRIOR**-2)
    precision[-1] = 1e-6  # the share of those that fail is as it is
    for _ in range(_STEPS):
        chance = _logistic(x @ weights)
        gradient = x.T @ (failed - chance) - precision * weights
        curvature = (x * (chance * (1 - chance))[:, None]).T @ x + np.diag(precision)
        step = np.linalg.solve(curvature, gradient)
        weights += step * min(1.0, _LONGEST / max(float(np.abs(step).max()), 1e-12))
    return weights


def _columns(space: CurveSpace, params: list[Mapping[str, Any]]) -> _Array:
    cube = space.to_columns(space.to_cube(params)) - 0.5
    return np.column_stack([cube, np.ones(len(params))])


def _logistic(z: _Array) -> _Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(z, -50, 50))))
