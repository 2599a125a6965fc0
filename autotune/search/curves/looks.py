"""The value of training a trial further: expected improvement for each epoch that it costs.

Symbols
    b     the best value so far, also of the expected final values of running trials
    μ     the expected final value of the trial
    r, R  the epoch of a look (the trial trains up to it, and reports); the last epoch
    c(r)  the cost of training up to r, in epochs
    m(r)  the expected final value after the look: normal, mean μ, standard deviation σ(r) =
          cov(final value, report at r) / standard deviation of the report

A trial trains up to a look, and to its end only if m(r) then exceeds a threshold t. Its expected improvement on b is

    gain = E[(final value - b)⁺; m(r) > t]    for    cost = c(r) + P(m(r) > t) (c(R) - c(r))

epochs. The value of training is the maximum of gain / cost over all looks and thresholds; training to the end without
a look is one of the options. The first epochs of a new configuration are cheap, but most are then stopped; the last
epochs of a good trial almost certainly bring a gain. The value for each epoch makes both comparable.

References: Weitzman 1979, "Optimal search for the best alternative"; Xie, Astudillo, Frazier, Scully and Terenin 2024,
"Cost-aware Bayesian optimization via the Pandora's box Gittins index", of which this is the ratio for one look ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autotune.search.curves.belief import Belief
from autotune.search.curves.kernel import Array
from autotune.search.curves.proposals import expected_improvement

_TINY = 1e-18
_OUTCOMES = np.linspace(4.0, -4.0, 81)  # outcomes of a look, in standard deviations
_SHARES = np.exp(-0.5 * _OUTCOMES**2) / np.exp(-0.5 * _OUTCOMES**2).sum()  # probability of each outcome


@dataclass(frozen=True)
class Looks:
    """The possible looks at a trial.

    Attributes:
        mean: The expected final value μ, standardized.
        moves: The standard deviation σ(r) for each look, shape (n,).
        costs: The cost of each look, in epochs, shape (n,).
    """

    mean: float
    moves: Array
    costs: Array

    def worth(self, best: float) -> float:
        """Return the maximum of gain / cost over all looks and thresholds, for the best value b = `best`."""
        whole = expected_improvement(np.array([self.mean]), self.moves[-1:], best) / self.costs[-1:]
        after = self.mean + self.moves[:-1, None] * _OUTCOMES  # m(r), the best outcomes first
        left = np.sqrt(np.maximum(self.moves[-1] ** 2 - self.moves[:-1, None] ** 2, _TINY))
        gains = np.cumsum(_SHARES * expected_improvement(after, left, best), axis=1)
        costs = self.costs[:-1, None] + np.cumsum(_SHARES) * (self.costs[-1] - self.costs[:-1, None])
        return float(max(whole[0], (gains / costs).max(initial=0.0)))


def looks_at(belief: Belief, u: Array, trial: int, epochs: Sequence[int], costs: Sequence[float]) -> Looks:
    """Return the looks at a trial.

    Args:
        belief: The state of the model, which includes the trial's curve so far.
        u: The trial's configuration in the cube, shape (d,).
        trial: The trial's number; an unused number for a new trial.
        epochs: The n epochs r, in increasing order; the last one is the study's last epoch.
        costs: The cost of each look, in epochs, above 0.
    """
    means, covariance = belief.predict_curve(u, trial, epochs)
    variances = np.diag(covariance) + belief.model.kernel.noise
    moves = np.maximum(covariance[-1] / np.sqrt(variances), 1e-9)
    return Looks(float(means[-1]), moves, np.array(costs, float))
