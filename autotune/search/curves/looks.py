"""What it is worth to train a trial further, for each epoch that it takes.

Symbols
    b     the best value there is, or is expected of what runs
    μ     what the trial's own end is expected to be
    r, R  the epoch of a look: the trial is trained up to it, and reports; the last epoch
    c(r)  what it costs to get there, in epochs
    m(r)  what the end is expected to be after the look: normal, mean μ, standard deviation σ(r) =
          cov(end, report at r) / standard deviation of the report

A trial is trained up to a look, and to its end if m(r) is more than a threshold t then. It is expected to improve on b
by

    gain = E[(end - b)⁺; m(r) > t]    for    cost = c(r) + P(m(r) > t) (c(R) - c(r))

epochs, and is worth the most that gain / cost can be, over all looks and thresholds; to train it to its end without a
look is one of them. A glance at a new configuration is cheap and most are not gone on with; the last epochs of a good
one are nearly sure of their gain. For each epoch that it takes, the two can be compared.

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
_OUTCOMES = np.linspace(4.0, -4.0, 81)  # of a look, in standard deviations
_SHARES = np.exp(-0.5 * _OUTCOMES**2) / np.exp(-0.5 * _OUTCOMES**2).sum()  # how likely each is


@dataclass(frozen=True)
class Looks:
    """The looks that can be taken at a trial.

    Attributes:
        mean: What its end is expected to be, standardized.
        moves: How far each look is expected to move that, shape (n,).
        costs: What each costs, in epochs, shape (n,).
    """

    mean: float
    moves: Array
    costs: Array

    def worth(self, best: float) -> float:
        """Return what the best way to train it is expected to gain over `best` for each epoch."""
        whole = expected_improvement(np.array([self.mean]), self.moves[-1:], best) / self.costs[-1:]
        after = self.mean + self.moves[:-1, None] * _OUTCOMES  # m(r), the best outcomes first
        left = np.sqrt(np.maximum(self.moves[-1] ** 2 - self.moves[:-1, None] ** 2, _TINY))
        gains = np.cumsum(_SHARES * expected_improvement(after, left, best), axis=1)
        costs = self.costs[:-1, None] + np.cumsum(_SHARES) * (self.costs[-1] - self.costs[:-1, None])
        return float(max(whole[0], (gains / costs).max(initial=0.0)))


def looks_at(belief: Belief, u: Array, trial: int, epochs: Sequence[int], costs: Sequence[float]) -> Looks:
    """Return the looks at a trial.

    Args:
        belief: What is believed, the trial's curve so far included.
        u: Its configuration in the cube, shape (d,).
        trial: Its number; of a trial to come one that no other has.
        epochs: The epochs r, n of them, rising, the last of which is the study's last.
        costs: What each costs, in epochs, above 0.
    """
    means, covariance = belief.predict_curve(u, trial, epochs)
    variances = np.diag(covariance) + belief.model.kernel.noise
    moves = np.maximum(covariance[-1] / np.sqrt(variances), 1e-9)
    return Looks(float(means[-1]), moves, np.array(costs, float))
