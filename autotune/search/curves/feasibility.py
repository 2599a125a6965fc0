"""The probability that a configuration trains without failing.

A trial that failed or diverged has no value at its end. If it counted as a bad one, the model of curves would expect
bad values of all that is near it, also where a little less of a learning rate is best. So failures are modelled by
themselves: a Gaussian process over configurations is fitted to 1 for each finished trial and -1 for each that failed,
and the probability of success is that of a positive value.

References: Rasmussen and Williams 2006, section 6.5 (least-squares classification); Gardner et al. 2014, "Bayesian
optimization with inequality constraints" (expected improvement times the probability of feasibility).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autotune.search.curves.cache import Recent
from autotune.search.curves.kernel import Array, Kernel, Points
from autotune.search.curves.model import CurveModel, condition, fit_kernel
from autotune.search.curves.space import CurveSpace

_MOST = 300  # trials that the model is conditioned on, the latest; half as many for its fit, which takes longer
_FITS: Recent[Kernel] = Recent(16)


@dataclass(frozen=True)
class Feasibility:
    """Where trials have failed, and where not.

    Args:
        space: The search space.
        model: The process; None if no trial has failed.
    """

    space: CurveSpace
    model: CurveModel | None

    def probability(self, cube: Array) -> Array:
        """Return the probability of success of configurations, shape (m, d), shape (m,)."""
        from scipy.special import ndtr

        if self.model is None:  # as in most studies
            return np.ones(len(cube))
        mean, deviation = self.model.predict(_points(self.space, cube, np.full(len(cube), -1)))
        return np.asarray(ndtr(mean / np.sqrt(deviation**2 + self.model.kernel.noise)))


def feasibility_of(space: CurveSpace, cube: Array, succeeded: Sequence[bool], n_fitted: int) -> Feasibility:
    """Return the model of the failures of finished trials.

    Args:
        space: The search space.
        cube: The configurations of n trials in the order in which they finished, shape (n, d).
        succeeded: Whether each has not failed, length n.
        n_fitted: The covariance is fitted to so many of the first trials, so that it is not fitted after each trial.
    """
    if all(succeeded):
        return Feasibility(space, None)
    labels, trials = np.where(succeeded, 1.0, -1.0), np.arange(len(cube))
    first, last = slice(max(0, n_fitted - _MOST // 2), n_fitted), slice(-_MOST, None)
    points, targets = _points(space, cube[first], trials[first]), labels[first]
    key = (points.columns.tobytes(), targets.tobytes(), tuple(space.parameter_of))
    kernel = _FITS.get(key, lambda: fit_kernel(points, targets, space.parameter_of))
    return Feasibility(space, condition(kernel, _points(space, cube[last], trials[last]), labels[last]))


def _points(space: CurveSpace, cube: Array, trials: np.ndarray) -> Points:
    """Return points at one time, because success has no curve."""
    return Points(space.to_columns(cube), trials, np.ones(len(cube)))
