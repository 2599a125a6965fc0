"""The covariance of learning curves: its gradient, and the posterior that is searched by it."""

from __future__ import annotations

import numpy as np
import pytest

from autotune.search.curves.kernel import N_SHARED, Gradients, Kernel, Points, matern
from autotune.search.curves.model import loss
from autotune.search.curves.scale import Scale

PARAMETER_OF = np.array([0, 1, 1, 1, 2])  # the second parameter has three choices


def points(n: int, seed: int = 0) -> Points:
    rng = np.random.default_rng(seed)
    return Points(rng.random((n, len(PARAMETER_OF))), rng.integers(0, 4, n), rng.random(n))


def theta(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(-0.5, 0.5, 3 + N_SHARED)


def test_the_slope_of_matern_agrees_with_finite_differences() -> None:
    squares = np.array([0.01, 0.3, 1.0, 4.0])
    ahead, behind = matern(squares + 1e-6)[0], matern(squares - 1e-6)[0]
    assert matern(squares)[1] == pytest.approx((ahead - behind) / 2e-6, rel=1e-5)


@pytest.mark.parametrize("at", range(4 + N_SHARED))
def test_the_gradient_of_the_posterior_agrees_with_finite_differences(at: int) -> None:
    gradients = Gradients(points(12), PARAMETER_OF)
    values = np.random.default_rng(2).normal(size=12)
    scale = Scale(middle=0.0, spread=1.0, floor=-3.0)  # some are better than its best, some far below its middle
    prior = np.column_stack([np.zeros(4 + N_SHARED), np.full(4 + N_SHARED, 1.5)])
    start = np.append(theta(), np.log(0.2))
    step = np.zeros(len(start))
    step[at] = 1e-5
    ahead = loss(start + step, gradients, values, scale, prior)[0]
    behind = loss(start - step, gradients, values, scale, prior)[0]
    slope = loss(start, gradients, values, scale, prior)[1][at]
    assert slope == pytest.approx((ahead - behind) / 2e-5, rel=1e-4, abs=1e-6)


def test_fitting_and_predicting_use_the_same_covariance() -> None:
    seen = points(9)
    kernel = Kernel(theta(), PARAMETER_OF)
    noisy = kernel.between(seen, seen) + kernel.noise * np.eye(9)
    assert Gradients(seen, PARAMETER_OF).covariance(theta()) == pytest.approx(noisy)


def test_a_point_of_a_trial_to_come_shares_nothing_with_the_trials_of_its_configuration() -> None:
    seen = points(5)
    kernel = Kernel(theta(), PARAMETER_OF)
    to_come = Points(seen.columns, np.full(5, -1), seen.times)
    own = np.exp(theta()[3 + 2])
    assert np.diag(kernel.between(seen, seen)) == pytest.approx(np.full(5, kernel.variance))
    assert np.diag(kernel.between(to_come, seen)) == pytest.approx(np.full(5, kernel.variance - own))
    assert np.diag(kernel.between(to_come, to_come)) == pytest.approx(np.full(5, kernel.variance - own))
