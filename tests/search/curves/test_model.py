"""The Gaussian process over learning curves, beside the textbook's formulas."""

from __future__ import annotations

import numpy as np
import pytest

from autotune.search.curves.kernel import N_SHARED, Gradients, Kernel, Points
from autotune.search.curves.model import condition, fit, loss
from autotune.search.curves.scale import Scale

PARAMETER_OF = np.array([0, 1])
STRAIGHT = Scale(middle=0.0, spread=1.0, floor=-4.0, headroom=10.0)
THETA = np.log([0.5, 0.8, 0.6, 0.4, 0.05, 0.3, 0.7, 1e-3])


def curves(n: int, seed: int) -> tuple[Points, np.ndarray]:
    """Return five points each on curves that rise, to levels that their configurations decide."""
    rng = np.random.default_rng(seed)
    trials = np.arange(n) // 5
    columns, times = rng.random((n, 2))[trials], rng.random(n)
    level = -4.0 * (columns[:, 0] - 0.3) ** 2
    return Points(columns, trials, times), level + 0.5 * times


def test_predictions_are_those_of_a_plain_gaussian_process() -> None:
    seen, targets = curves(15, 0)
    asked, _ = curves(6, 1)
    kernel = Kernel(THETA, PARAMETER_OF)
    inverse = np.linalg.inv(kernel.between(seen, seen) + kernel.noise * np.eye(15))
    across = kernel.between(asked, seen)
    mean, deviation = condition(kernel, seen, targets).predict(asked)
    assert mean == pytest.approx(across @ inverse @ targets)
    variance = kernel.variance - np.einsum("ij,jk,ik->i", across, inverse, across)
    assert deviation == pytest.approx(np.sqrt(variance))
    together, covariance = condition(kernel, seen, targets).predict_together(asked)
    assert together == pytest.approx(mean)
    assert covariance == pytest.approx(kernel.between(asked, asked) - across @ inverse @ across.T)


def test_a_model_extended_by_points_is_the_one_that_has_seen_them_from_the_beginning() -> None:
    seen, targets = curves(20, 0)
    asked, _ = curves(6, 1)
    kernel = Kernel(THETA, PARAMETER_OF)
    early = Points(seen.columns[:14], seen.trials[:14], seen.times[:14])
    late = Points(seen.columns[14:], seen.trials[14:], seen.times[14:])
    extended = condition(kernel, early, targets[:14]).extended(late, targets[14:])
    whole = condition(kernel, seen, targets)
    assert extended.factor == pytest.approx(whole.factor)
    assert np.concatenate(extended.predict(asked)) == pytest.approx(np.concatenate(whole.predict(asked)))


def test_a_fantasy_at_the_mean_moves_no_mean_and_makes_its_neighbourhood_certain() -> None:
    seen, targets = curves(15, 0)
    asked, _ = curves(6, 1)
    model = condition(Kernel(THETA, PARAMETER_OF), seen, targets)
    mean, deviation = model.predict(asked)
    after_mean, after_deviation = model.extended(asked, mean).predict(asked)
    assert after_mean == pytest.approx(mean, abs=1e-6)
    assert np.all(after_deviation < 0.5 * deviation)


def test_fitting_finds_what_the_levels_depend_on_and_the_size_of_the_noise() -> None:
    seen, values = curves(80, 0)
    noisy = values + 0.2 * np.random.default_rng(3).normal(size=80)
    exact, rough = fit(seen, values, STRAIGHT, PARAMETER_OF), fit(seen, noisy, STRAIGHT, PARAMETER_OF)
    theta = exact.kernel.theta
    assert theta[1] > theta[0] + 1.0, "the second parameter does nothing, its length scale is long"
    assert exact.kernel.noise < 1e-3
    noise = 0.2 * STRAIGHT.standardized([1.0])[0]  # of a scale that is about straight, from 0 for 0
    assert rough.kernel.noise == pytest.approx(noise**2, rel=0.6)


def test_fitting_ends_where_the_posterior_is_flat() -> None:
    seen, values = curves(30, 0)
    found = fit(seen, values, STRAIGHT, PARAMETER_OF)
    prior = np.column_stack([np.zeros(3 + N_SHARED), np.full(3 + N_SHARED, 1e6)])
    gradients = Gradients(seen, PARAMETER_OF)
    start = np.log([0.6, 0.6, 0.6, 0.4, 0.05, 0.3, 0.7, 1e-3, 0.3])
    there = np.append(found.kernel.theta, np.log(found.headroom))
    less = loss(there, gradients, values, STRAIGHT, prior)[0]
    assert less < loss(start, gradients, values, STRAIGHT, prior)[0] - 5.0


def test_a_scale_spreads_out_the_top_where_errors_shrink_by_factors_and_not_where_values_differ_by_sums() -> None:
    seen, levels = curves(60, 0)
    shrinking = -np.exp(-2.0 * (levels - levels.min()))
    scales = [Scale(float(np.median(y)), float(y.max() - np.median(y)), float(y.min())) for y in (levels, shrinking)]
    straight, bent = (fit(seen, y, scale, PARAMETER_OF) for y, scale in zip((levels, shrinking), scales, strict=True))
    assert bent.headroom < 0.3
    assert straight.headroom > 1.0
