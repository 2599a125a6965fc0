"""Covariance of points on learning curves, and its gradient.

Symbols
    n, m  points; d parameters; p columns of the search space, p >= d
    X     columns of a point's configuration, shape (n, p)
    c     number of the trial that a point belongs to, shape (n,); -1 for a new trial
    τ     log-epoch of a point, log(epoch) / log(last epoch), shape (n,): 0 at the first epoch and 1 at the last
    θ     logarithms of the hyperparameters, shape (d + 6,): a length scale for each parameter, variances a, b, e, g,
          the length scale of time, the variance of the noise

    k = a Kx + b Kx Kt + e [same trial] Kt + g Kt + noise [same point]

Kx and Kt are Matérn-5/2 over configurations and over log-epochs. `a` is the variance of a configuration's value at all
epochs, `b` that of the shape of its curve, `e` that of a single trial (its seed), `g` that of the common rise of all
curves. As in Swersky et al. 2014 (Freeze-Thaw Bayesian Optimization), curves of one study inform each other; unlike
there, no shape of the curves is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

JITTER = 1e-6  # variance that is added to the noise so that the covariance can be factored
N_SHARED = 6  # number of hyperparameters without the length scales of the parameters

_SQRT5 = float(np.sqrt(5.0))


@dataclass(frozen=True)
class Points:
    """Points on learning curves.

    Attributes:
        columns: X, shape (n, p).
        trials: c, shape (n,), int.
        times: τ, shape (n,).
    """

    columns: Array
    trials: NDArray[np.int64]
    times: Array

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class Kernel:
    """The covariance with its hyperparameters.

    Args:
        theta: θ, shape (d + 6,).
        parameter_of: The parameter of each column, shape (p,).
    """

    theta: Array
    parameter_of: NDArray[np.intp]

    def between(self, left: Points, right: Points) -> Array:
        """Return the covariance of n points with m others, without noise, shape (n, m)."""
        d = len(self.theta) - N_SHARED
        a, b, e, g = np.exp(self.theta[d : d + 4])
        scales = np.exp(-self.theta[:d])[self.parameter_of]
        kx = matern(_squares(left.columns * scales, right.columns * scales))[0]
        kt = matern(((left.times[:, None] - right.times) * np.exp(-self.theta[d + 4])) ** 2)[0]
        same = (left.trials[:, None] == right.trials) & (left.trials[:, None] >= 0)
        return np.asarray(kx * (a + b * kt) + (g + e * same) * kt)

    @property
    def variance(self) -> float:
        """The prior variance of a point, without noise."""
        d = len(self.theta) - N_SHARED
        return float(np.exp(self.theta[d : d + 4]).sum())

    @property
    def noise(self) -> float:
        """The variance of the noise of a report."""
        return float(np.exp(self.theta[-1])) + JITTER


class Gradients:
    """The covariance of n points with themselves, and its gradient, for any hyperparameters.

    Args:
        points: n points.
        parameter_of: The parameter of each column, shape (p,).
    """

    def __init__(self, points: Points, parameter_of: NDArray[np.intp]) -> None:
        columns = (points.columns.T[:, :, None] - points.columns.T[:, None, :]) ** 2
        d = int(parameter_of.max()) + 1
        self._dx2 = np.array([columns[parameter_of == axis].sum(axis=0) for axis in range(d)])
        self._dt2 = (points.times[:, None] - points.times) ** 2
        self._same = (points.trials[:, None] == points.trials).astype(float)

    def covariance(self, theta: Array) -> Array:
        """Return the covariance with noise, shape (n, n)."""
        d = len(self._dx2)
        a, b, e, g = np.exp(theta[d : d + 4])
        self._kx, self._slope_x = matern(np.tensordot(np.exp(-2.0 * theta[:d]), self._dx2, 1))
        self._kt, self._slope_t = matern(self._dt2 * np.exp(-2.0 * theta[d + 4]))
        k = self._kx * (a + b * self._kt) + (g + e * self._same) * self._kt
        k[np.diag_indices(len(k))] += np.exp(theta[-1]) + JITTER
        return np.asarray(k)

    def slope(self, theta: Array, weights: Array) -> Array:
        """Return the gradient of sum(weights * covariance), shape (d + 6,).

        Args:
            theta: The hyperparameters of the last call of `covariance`.
            weights: A symmetric matrix, shape (n, n).
        """
        d = len(self._dx2)
        a, b, e, g = np.exp(theta[d : d + 4])
        slope = np.empty_like(theta)
        by_distance = weights * (a + b * self._kt) * self._slope_x
        slope[:d] = -2.0 * np.exp(-2.0 * theta[:d]) * (self._dx2.reshape(d, -1) @ by_distance.ravel())
        by_kx, by_kt = weights * self._kx, weights * self._kt
        slope[d] = a * by_kx.sum()
        slope[d + 1] = b * (by_kx * self._kt).sum()
        slope[d + 2] = e * (by_kt * self._same).sum()
        slope[d + 3] = g * by_kt.sum()
        over_time = b * self._kx + e * self._same + g
        slope[d + 4] = -2.0 * np.exp(-2.0 * theta[d + 4]) * (weights * over_time * self._slope_t * self._dt2).sum()
        slope[d + 5] = np.exp(theta[-1]) * np.trace(weights)
        return slope


def matern(squares: Array) -> tuple[Array, Array]:
    """Return the Matérn-5/2 covariance at squared distances, and its derivative with respect to these.

    Reference: Rasmussen and Williams 2006, equation 4.17.
    """
    r = np.sqrt(squares)
    decay = np.exp(-_SQRT5 * r)
    return (1.0 + _SQRT5 * r + 5.0 / 3.0 * squares) * decay, -5.0 / 6.0 * (1.0 + _SQRT5 * r) * decay


def _squares(left: Array, right: Array) -> Array:
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2.0 * left @ right.T
    return np.asarray(np.maximum(squares, 0.0))
