"""A Gaussian process over learning curves: fitted, conditioned on points, extended by more points.

Symbols as in `kernel` and `scale`; targets are standardized values u, shape (n,).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autotune.search.curves.kernel import N_SHARED, Array, Gradients, Kernel, Points
from autotune.search.curves.scale import Scale

# Log-normal priors of the hyperparameters (mean and standard deviation of the logarithm), for distances in the unit
# cube and targets of about unit size. The fit is the maximum a posteriori, because with few points the maximum of the
# likelihood has length scales of zero. The means are close to fits with wide priors on 60 random configurations of each
# of LCBench's development tasks (docs/search_measurements.md); the deviations are at least as large as the spread of
# those fits.
_PRIOR_LENGTH = (np.log(0.9), 1.0)
_PRIOR_SHARED = np.array(
    [
        (np.log(0.1), 1.0),  # a: the configuration
        (np.log(0.8), 0.8),  # b: its curve
        (np.log(0.01), 1.5),  # e: the trial's own
        (np.log(0.3), 1.3),  # g: all curves together
        (np.log(0.62), 0.3),  # length scale of log-epochs
        (np.log(2e-3), 1.8),  # noise
    ]
)
_PRIOR_HEADROOM = (np.log(0.3), 1.2)
_HEADROOMS = (np.log(0.02), np.log(10.0))  # bounds; beyond them the scale hardly changes
_STEP = 1e-4  # of the logarithm of the headroom, for its derivative
_N_ITERATIONS = 30


@dataclass(frozen=True)
class CurveModel:
    """A Gaussian process that is conditioned on some points.

    Attributes:
        kernel: Its covariance.
        points: The n points seen.
        factor: Lower Cholesky factor of their covariance, shape (n, n).
        weights: Covariance⁻¹ u, shape (n,).
        targets: u, shape (n,).
    """

    kernel: Kernel
    points: Points
    factor: Array
    weights: Array
    targets: Array

    def predict(self, points: Points) -> tuple[Array, Array]:
        """Return mean and standard deviation of m points without the noise of reports, shapes (m,)."""
        from scipy.linalg import solve_triangular

        across = self.kernel.between(points, self.points)
        inner = solve_triangular(self.factor, across.T, lower=True, check_finite=False)
        variance = self.kernel.variance - (inner**2).sum(axis=0)
        return across @ self.weights, np.sqrt(np.maximum(variance, 1e-10))

    def predict_together(self, points: Points) -> tuple[Array, Array]:
        """Return mean, shape (m,), and covariance, shape (m, m), of points without the noise of reports."""
        from scipy.linalg import solve_triangular

        across = self.kernel.between(points, self.points)
        inner = solve_triangular(self.factor, across.T, lower=True, check_finite=False)
        covariance = self.kernel.between(points, points) - inner.T @ inner
        covariance[np.diag_indices(len(points))] = np.maximum(np.diag(covariance), 1e-10)
        return across @ self.weights, covariance

    def extended(self, points: Points, targets: Array) -> CurveModel:
        """Return the process conditioned on k more points, in O(k n²) instead of the O(n³) of `condition`."""
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
    """Return the Gaussian process with this covariance, conditioned on the points.

    Args:
        kernel: The covariance.
        points: n points.
        targets: u, shape (n,).
    """
    from scipy.linalg import cho_solve, cholesky

    covariance = kernel.between(points, points)
    covariance[np.diag_indices(len(points))] += kernel.noise
    factor = cholesky(covariance, lower=True, check_finite=False)
    return CurveModel(kernel, points, factor, cho_solve((factor, True), targets, check_finite=False), targets)


@dataclass(frozen=True)
class Fit:
    """The fitted hyperparameters of a study.

    Attributes:
        kernel: The covariance.
        headroom: δ of the scale.
    """

    kernel: Kernel
    headroom: float


def fit(points: Points, values: Array, scale: Scale, parameter_of: NDArray[np.intp]) -> Fit:
    """Return the hyperparameters that are most probable given the points, from one fixed start.

    Args:
        points: n points; the fit takes O(n³) about thirty times.
        values: Their values, shape (n,), finite, larger is better.
        scale: The scale to standardize them; its headroom is fitted.
        parameter_of: The parameter of each column, shape (p,).
    """
    prior = np.vstack([_prior(parameter_of), _PRIOR_HEADROOM])
    gradients = Gradients(points, parameter_of)
    found = _most_probable(lambda theta: loss(theta, gradients, values, scale, prior), prior, [_HEADROOMS])
    return Fit(Kernel(found[:-1], parameter_of), float(np.exp(found[-1])))


def fit_kernel(points: Points, targets: Array, parameter_of: NDArray[np.intp]) -> Kernel:
    """Return the covariance that is most probable given targets, shape (n,), that are standardized already."""
    prior = _prior(parameter_of)
    gradients = Gradients(points, parameter_of)

    def plain_loss(theta: Array) -> tuple[float, Array]:
        value, slope, _ = _likelihood(theta, gradients, targets)
        away = (theta - prior[:, 0]) / prior[:, 1]
        return value + float(0.5 * away @ away), slope + away / prior[:, 1]

    return Kernel(_most_probable(plain_loss, prior, []), parameter_of)


def _most_probable(
    of: Callable[[Array], tuple[float, Array]], prior: Array, bounds_of_others: Sequence[tuple[float, float]]
) -> Array:
    from scipy.optimize import minimize

    of_kernel = prior[: len(prior) - len(bounds_of_others)]
    bounds = [(mean - 4.0 * deviation, mean + 4.0 * deviation) for mean, deviation in of_kernel]
    options = {"maxiter": _N_ITERATIONS}
    found = minimize(of, prior[:, 0], jac=True, method="L-BFGS-B", bounds=[*bounds, *bounds_of_others], options=options)
    return np.asarray(found.x)


def loss(theta: Array, gradients: Gradients, values: Array, scale: Scale, prior: Array) -> tuple[float, Array]:
    """Return the negative logarithm of the posterior density, up to a constant, and its gradient, shape (d + 7,).

    References: Rasmussen and Williams 2006, equations 2.30 and 5.9; Snelson, Rasmussen and Ghahramani 2003, equation 6.

    Args:
        theta: θ of the covariance, and the logarithm of the headroom, shape (d + 7,).
        gradients: The covariance of the n points.
        values: Their values, shape (n,).
        scale: The scale to standardize them; its headroom is ignored.
        prior: Means and standard deviations, shape (d + 7, 2).
    """
    targets, stretch = _bent(scale, theta[-1], values)
    value, slope, weights = _likelihood(theta[:-1], gradients, targets)
    (more, more_stretch), (less, less_stretch) = (_bent(scale, theta[-1] + by, values) for by in (_STEP, -_STEP))
    of_headroom = (weights @ (more - less) - (more_stretch - less_stretch)) / (2.0 * _STEP)
    away = (theta - prior[:, 0]) / prior[:, 1]
    return value - stretch + float(0.5 * away @ away), np.append(slope, of_headroom) + away / prior[:, 1]


def _likelihood(theta: Array, gradients: Gradients, targets: Array) -> tuple[float, Array, Array]:
    """Return the negative log-likelihood of targets, its gradient, shape (d + 6,), and covariance⁻¹ targets."""
    from scipy.linalg import LinAlgError, cho_solve, cholesky

    covariance = gradients.covariance(theta)
    try:
        factor = cholesky(covariance, lower=True, check_finite=False)
    except LinAlgError:  # rare, at the edge of the bounds; the line search then takes a shorter step
        return 1e10, np.zeros_like(theta), np.zeros_like(targets)
    inverse = cho_solve((factor, True), np.eye(len(targets)), check_finite=False)
    weights = inverse @ targets
    value = 0.5 * targets @ weights + np.log(np.diag(factor)).sum()
    return float(value), gradients.slope(theta, 0.5 * (inverse - np.outer(weights, weights))), weights


def _bent(scale: Scale, log_headroom: float, values: Array) -> tuple[Array, float]:
    """Return values standardized with a headroom, and the logarithm of the scale's Jacobian there, up to a constant."""
    scale = dataclasses.replace(scale, headroom=float(np.exp(log_headroom)))
    return scale.standardized(values), float(scale.log_slopes(values).sum())


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
