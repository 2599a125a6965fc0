"""A Gaussian process over learning curves: fitted, conditioned on points, extended by more of them.

Symbols as in `curve_kernel`; y are targets, shape (n,), standardized so that 0 is the middle and larger is better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autotune.search.curve_kernel import N_SHARED, Array, Gradients, Kernel, Points

# Where the hyperparameters are searched: logarithms of normal distributions (mean, standard deviation), for distances
# in the unit cube and targets of about unit size. The search is for the maximum a posteriori: with few points
# likelihood alone finds length scales of zero.
_PRIOR_LENGTH = (np.log(0.6), 0.9)
_PRIOR_SHARED = np.array(
    [
        (np.log(0.6), 1.0),  # a: the configuration
        (np.log(0.4), 1.0),  # b: its curve
        (np.log(0.05), 1.5),  # e: the trial's own
        (np.log(0.3), 1.2),  # g: all curves together
        (np.log(0.7), 0.7),  # length scale of log-epochs
        (np.log(1e-3), 1.5),  # noise
    ]
)
_N_ITERATIONS = 30


@dataclass(frozen=True)
class CurveModel:
    """A Gaussian process that has seen some points.

    Attributes:
        kernel: Its covariance.
        points: The n points seen.
        factor: Lower Cholesky factor of their covariance, shape (n, n).
        weights: Covariance⁻¹ y, shape (n,).
        targets: y, shape (n,).
    """

    kernel: Kernel
    points: Points
    factor: Array
    weights: Array
    targets: Array

    def predict(self, points: Points) -> tuple[Array, Array]:
        """Return mean and standard deviation of what is to be expected, noise of a report aside, shapes (m,)."""
        from scipy.linalg import solve_triangular

        across = self.kernel.between(points, self.points)
        inner = solve_triangular(self.factor, across.T, lower=True, check_finite=False)
        variance = self.kernel.variance - (inner**2).sum(axis=0)
        return across @ self.weights, np.sqrt(np.maximum(variance, 1e-10))

    def extended(self, points: Points, targets: Array) -> CurveModel:
        """Return the process after it has seen k more points: in O(k n²), where beginning anew takes O(n³)."""
        from scipy.linalg import cho_solve, cholesky, solve_triangular

        n, k = len(self.points), len(points)
        if k == 0:
            return self
        inner = solve_triangular(self.factor, self.kernel.between(self.points, points), lower=True, check_finite=False)
        own = self.kernel.between(points, points)
        own[np.diag_indices(k)] += self.kernel.noise
        factor = np.zeros((n + k, n + k))
        factor[:n, :n] = self.factor
        factor[n:, :n] = inner.T
        factor[n:, n:] = cholesky(own - inner.T @ inner, lower=True, check_finite=False)
        all_targets = np.concatenate([self.targets, targets])
        weights = cho_solve((factor, True), all_targets, check_finite=False)
        return CurveModel(self.kernel, _joined(self.points, points), factor, weights, all_targets)


def condition(kernel: Kernel, points: Points, targets: Array) -> CurveModel:
    """Return the Gaussian process with this covariance that has seen the points.

    Args:
        kernel: The covariance.
        points: n points.
        targets: y, shape (n,).
    """
    from scipy.linalg import cho_solve, cholesky

    covariance = kernel.between(points, points)
    covariance[np.diag_indices(len(points))] += kernel.noise
    factor = cholesky(covariance, lower=True, check_finite=False)
    return CurveModel(kernel, points, factor, cho_solve((factor, True), targets, check_finite=False), targets)


def fit(points: Points, targets: Array, parameter_of: NDArray[np.intp]) -> Kernel:
    """Return the covariance whose hyperparameters are most probable given the points, from one fixed start.

    Args:
        points: n points; it takes O(n³) some thirty times.
        targets: y, shape (n,).
        parameter_of: The parameter of each column, shape (p,).
    """
    from scipy.optimize import minimize

    prior = _prior(parameter_of)
    gradients = Gradients(points, parameter_of)
    found = minimize(
        lambda theta: loss(theta, gradients, targets, prior),
        prior[:, 0],
        jac=True,
        method="L-BFGS-B",
        bounds=[(mean - 4.0 * deviation, mean + 4.0 * deviation) for mean, deviation in prior],
        options={"maxiter": _N_ITERATIONS},
    )
    return Kernel(np.asarray(found.x), parameter_of)


def loss(theta: Array, gradients: Gradients, targets: Array, prior: Array) -> tuple[float, Array]:
    """Return the negative logarithm of the posterior density, up to a constant, and its gradient, shape (d + 6,).

    Reference: Rasmussen and Williams 2006, equations 2.30 and 5.9.
    """
    from scipy.linalg import LinAlgError, cho_solve, cholesky

    covariance = gradients.covariance(theta)
    try:
        factor = cholesky(covariance, lower=True, check_finite=False)
    except LinAlgError:  # hardly ever, at the edge of the bounds; the line search takes a shorter step
        return 1e10, np.zeros_like(theta)
    inverse = cho_solve((factor, True), np.eye(len(targets)), check_finite=False)
    weights = inverse @ targets
    away = (theta - prior[:, 0]) / prior[:, 1]
    value = 0.5 * targets @ weights + np.log(np.diag(factor)).sum() + 0.5 * away @ away
    slope = gradients.slope(theta, 0.5 * (inverse - np.outer(weights, weights)))
    return float(value), slope + away / prior[:, 1]


def _prior(parameter_of: NDArray[np.intp]) -> Array:
    """Return means and standard deviations of the hyperparameters, shape (d + 6, 2)."""
    d = int(parameter_of.max()) + 1
    prior = np.empty((d + N_SHARED, 2))
    prior[:d] = _PRIOR_LENGTH
    prior[d:] = _PRIOR_SHARED
    return prior


def _joined(one: Points, other: Points) -> Points:
    return Points(
        np.concatenate([one.columns, other.columns]),
        np.concatenate([one.trials, other.trials]),
        np.concatenate([one.times, other.times]),
    )
