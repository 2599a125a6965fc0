"""A model of which configurations run out of memory or time.

TPE ranks failed trials last, but good trials often lie close to the limit of memory or time, so TPE proposes
configurations beyond the limit again and again. Therefore a proposal that is likely to fail is rejected, and the
sampler is asked again. The probability of failure comes from a logistic regression on the unit cube: memory and time
rise or fall with most hyperparameters, and a limit on the product of two hyperparameters is a plane if both have
logarithmic scales.

In 60 trials with a limit on batch size times units, where more is better below the limit
(tests/search/samplers/test_infeasible.py, seeds 0 to 3), 30, 30 and 33 % of the first, second and last 20 failed
without this model; with it 24, 11 and 12 %.

What is covered: numbers on any scale, choices, conditional parameters, trials that failed before they had all of them.
What is not covered: failures only in the middle of a range, which a plane cannot separate.

Symbols: n trials that finished or ran out; p columns: those of the cube, and one of ones; X holds them, shape (n, p).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from autotune.search.curves import CurveSpace, searched

_PRIOR = 5.0  # standard deviation of a weight: over a whole range, the odds of failure change by a factor of e ** 5
_STEPS, _LONGEST = 12, 3.0  # number of Newton steps, enough to converge, and the longest step
_Array = NDArray[np.float64]


def never(params: Mapping[str, Any]) -> float:
    """Return 0: the probability of failure if no trial has failed."""
    return 0.0


class Feasibility:
    """The model of failures, updated trial by trial."""

    def __init__(self) -> None:
        self._trials: list[tuple[int, FrozenTrial, bool]] = []
        self._n_failed = 0
        self._fitted: tuple[int, Callable[[Mapping[str, Any]], float]] = (0, never)  # number of trials, and the model

    def learn(self, trial: FrozenTrial) -> None:
        has_failed = trial.state == TrialState.FAIL and any(value > 0 for value in trial.constraints.values())
        if trial.params and (has_failed or trial.state in (TrialState.COMPLETE, TrialState.PRUNED)):
            self._trials.append((trial.number, trial, has_failed))
            self._n_failed += has_failed

    def fitted(self) -> Callable[[Mapping[str, Any]], float]:
        """Return a function from parameters to the probability of failure; `never` if none or all have failed."""
        if not 0 < self._n_failed < len(self._trials):
            return never
        if self._fitted[0] != len(self._trials):
            self._trials.sort(key=itemgetter(0))  # the order in which they ended must not matter
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
    precision[-1] = 1e-6  # nearly no prior on the intercept
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
