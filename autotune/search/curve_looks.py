"""What it is worth to train a trial further before the next decision, for each epoch that it takes.

Symbols
    b     what the end of the best other trial is expected to be
    μ     what the trial's own end is expected to be
    r     the epoch of a look: the trial is trained up to it, and reports
    σ(r)  how far that report is expected to move μ: cov(end, report at r) / standard deviation of the report

The better of the two would be handed over now, max(b, μ). After the look it is expected to be better by

    σ(r) h(-|b - μ| / σ(r)),  h(z) = z Φ(z) + φ(z).

A trial that leads can gain as one that is behind can: by showing that it does not deserve it. A glance at a new
configuration is cheap and says little, the last epochs of a good one are dear and settle it; for each epoch that it
takes, the two can be compared.

Reference: Frazier, Powell and Dayanik 2009, "The knowledge-gradient policy for correlated normal beliefs", equation 14,
for one trial at a time: what it says of others is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autotune.search.curve_belief import Belief
from autotune.search.curve_kernel import Array
from autotune.search.curve_proposals import expected_improvement


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
        """Return what the look that is worth most is expected to gain for each epoch, beside an end of `best`."""
        behind = np.full(len(self.moves), -abs(self.mean - best))
        return float((expected_improvement(behind, self.moves, 0.0) / self.costs).max())


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
