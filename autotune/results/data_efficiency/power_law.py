"""The error as a power law of the number of rows, with intervals.

    error(n) = a * (n / n_max) ** -b + c,    a >= 0, b > 0, c >= 0

Such a law describes learning curves of deep networks over many orders of magnitude: Hestness et al., "Deep Learning
Scaling is Predictable, Empirically", arXiv 1712.00409, 2017. Viering and Loog, "The Shape of Learning Curves: a
Review", IEEE TPAMI 2022 (arXiv 2103.10948, 2021), show where it does not hold: curves may be flat, rise, or change
their slope beyond what was measured. a is the part of today's error that more rows lower, c the part that they do not.

Symbols: K numbers of rows n, the largest of which is n_max; J trainings at each, `errors` of shape (J, K). Those in one
line share seeds and validation rows, and so a part of their luck, u: the noise of (j, k) is f_k**theta * (u_j + e_jk),
with f the fitted error and theta one of 0, 1/2 and 1, whichever makes the trainings most likely.

What is not covered: what is not like the rows at hand. That rows were drawn once is allowed for by `Design`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.data.splits import Design
from autotune.results.data_efficiency.fits import errors_of, fit_closely, fit_with_floor, fit_without_floor
from autotune.results.data_efficiency.noise import CurveNoise

_Array: TypeAlias = npt.NDArray[np.float64]

_THETAS = (0.0, 0.5, 1.0)
_N_DRAWS = 2000
_PERCENT = (2.5, 97.5)
_MIN_SIZES = 3  # two of them lie on a law of any kind
_NOISE = 0.01  # a distance from the law that noise makes more often than this is none


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PowerLaw:
    """error(n) = a * (n / n_max) ** -b + c.

    Attributes:
        n_min: From how many rows on it holds, as far as the trainings show.
        n_max: The largest number of rows that was trained on.
        a: The part of the error at n_max that falls with more rows.
        b: How fast: twice the rows leave 2 ** -b of it.
        c: The part that stays. 0 where the trainings do not support that there is any; its interval says how much there
            may be.
    """

    n_min: float
    n_max: float
    a: Interval
    b: Interval
    c: Interval

    def error_at(self, n_rows: npt.ArrayLike) -> _Array:
        """Return the expected error of a training on so many rows, in the shape of `n_rows`."""
        n: _Array = np.asarray(n_rows, dtype=np.float64)
        return self.a.value * (n / self.n_max) ** -self.b.value + self.c.value


@dataclass(frozen=True, eq=False)
class Fitted:
    """A power law, and laws that the trainings do not exclude.

    Attributes:
        law: The law.
        draws: The a, b and c of other laws, shape (n_draws, 3): those that were fitted to curves as they might have
            come out as well.
    """

    law: PowerLaw
    draws: _Array

    def error_at(self, n_rows: float) -> Interval:
        """Return the expected error of a training on so many rows."""
        a, b, c = self.draws.T
        return _interval(float(self.law.error_at(n_rows)), a * (n_rows / self.law.n_max) ** -b + c)

    def gain(self, times: float) -> Interval:
        """Return by how much so many times the largest number of rows lower the error."""
        a, b, _ = self.draws.T
        law = self.law
        return _interval(law.a.value * (1 - times**-law.b.value), a * (1 - times**-b))


@dataclass(frozen=True)
class NoLaw:
    """Why nothing can be said of more rows."""

    why: str


_FLAT = NoLaw("more rows do not lower the error beyond noise, as far as these trainings show")


def fit_power_law(n_rows: npt.ArrayLike, errors: npt.ArrayLike, design: Design, seed: int) -> Fitted | NoLaw:
    """Fit the law by weighted least squares, with c = 0 unless the corrected Akaike criterion (AICc) supports a c.

    With few rows a network guesses, and the law begins later (Hestness et al., section 5): as long as the trainings are
    too far from a law, by an F-test against the noise between repeats, the smallest number of rows is left out.

    Intervals are those of a parametric bootstrap, since resampling the few trainings there are gives few curves. Both
    laws take part, each as often as its Akaike weight says (Burnham and Anderson, "Model Selection and Multimodel
    Inference", 2002): that a c was not found does not mean that there is none.

    Args:
        n_rows: How many rows were trained on, shape (K,), increasing.
        errors: The errors, at least 0, shape (J, K).
        design: How the trainings of one number of rows hang together.
        seed: Where the chance of the bootstrap comes from.

    Returns:
        The law, or why there is none.
    """
    n: _Array = np.asarray(n_rows, dtype=np.float64)
    found: _Array = np.asarray(errors, dtype=np.float64)
    if len(n) < _MIN_SIZES:
        return NoLaw(f"a law needs at least {_MIN_SIZES} different numbers of rows, and there are {len(n)}")
    if len(found) < 2:
        return NoLaw("what is noise is seen from at least 2 trainings at each number of rows")
    if found[:, -1].mean() == 0:
        return NoLaw("the error is 0 already: nothing is left for more rows to lower")
    for first in range(len(n) - _MIN_SIZES + 1):
        if (fitted := _fitted_from(n[first:], found[:, first:], design, seed)) is not None:
            return fitted
    if found[:, -1].mean() >= found[:, -_MIN_SIZES].mean():
        return _FLAT
    return NoLaw("the error is no power of the number of rows, not even over the largest numbers")


def _fitted_from(n: _Array, errors: _Array, design: Design, seed: int) -> Fitted | NoLaw | None:
    """Return the law over all of these numbers of rows; None if they do not lie on one, but for noise."""
    means = errors.mean(axis=0)
    weights = _weights(n, errors)
    noise = CurveNoise.of(errors, weights, design)
    straight, bent = (fit_closely(fit, n, means, weights) for fit in (fit_without_floor, fit_with_floor))
    off_constant = float(weights @ (means - np.average(means, weights=weights)) ** 2)
    off = (off_constant, straight.rss[0], bent.rss[0])
    constant, without, with_floor = (_aicc(rss, i + 1, noise, errors.shape) for i, rss in enumerate(off))
    is_far = partial(_is_far_off, noise=noise, shape=errors.shape, total=float(weights @ means**2))
    if constant <= min(without, with_floor):
        return None if is_far(off_constant, 1) else _FLAT
    chosen = straight if without <= with_floor and not is_far(straight.rss[0], 2) else bent
    if is_far(chosen.rss[0], 2 + bool(chosen.laws[0, 2])):
        return None
    share = _akaike_weight(bent.rss[0], straight.rss[0], noise, errors.shape)
    rng = np.random.default_rng(seed)
    n_bent = round(share * _N_DRAWS)
    others = [
        fit(n, errors_of(fits.laws[0], n) + noise.draw(n_draws, len(n), rng) / np.sqrt(weights), weights).laws
        for fit, fits, n_draws in (
            (fit_without_floor, straight, _N_DRAWS - n_bent),
            (fit_with_floor, bent, n_bent),
        )
    ]
    draws = np.concatenate(others)
    a, b, c = (_interval(float(value), drawn) for value, drawn in zip(chosen.laws[0], draws.T, strict=True))
    return Fitted(PowerLaw(float(n[0]), float(n[-1]), a, b, c), draws)


def _weights(n: _Array, errors: _Array) -> _Array:
    """Return 1 / f**(2 * theta), shape (K,), with f the error as a first fit has it: a mean of three may well be 0."""
    means = errors.mean(axis=0)
    first = fit_without_floor(n, means[np.newaxis], 1 / np.maximum(means, means.max() * 1e-3))
    f = errors_of(first.laws[0], n)
    squares = ((errors - means) ** 2).sum(axis=0)
    if not squares.any():
        return 1 / f

    def minus_log_likelihood(theta: float) -> float:
        return float(2 * theta * np.log(f).mean() + np.log((squares / f ** (2 * theta)).sum()))

    return f ** (-2 * min(_THETAS, key=minus_log_likelihood))


def _is_far_off(rss: float, n_parameters: int, noise: CurveNoise, shape: tuple[int, ...], total: float) -> bool:
    """Say whether means over lines are farther from a law than noise would have them; `total` is their square sum."""
    from scipy import stats  # takes a while to import

    lines, columns = shape
    freedom = columns - n_parameters
    if freedom == 0:
        return False
    own = max(noise.own, 1e-12 * total)  # without any noise the rounding of floats is left
    return bool(stats.f.sf(lines * rss / freedom / own, freedom, noise.own_freedom) < _NOISE)


def _deviance(rss: float, noise: CurveNoise, shape: tuple[int, ...]) -> tuple[float, int]:
    """Return -2 log likelihood, but for a constant, and of how many numbers: the luck that lines share is taken out."""
    lines, columns = shape
    size = lines * columns - (lines - 1)
    total = lines * rss + noise.own * (lines - 1) * (columns - 1)
    return size * float(np.log(max(total, np.finfo(float).tiny) / size)), size


def _aicc(rss: float, n_parameters: int, noise: CurveNoise, shape: tuple[int, ...]) -> float:
    """Hurvich and Tsai, "Regression and Time Series Model Selection in Small Samples", Biometrika 76, 1989."""
    deviance, size = _deviance(rss, noise, shape)
    p = n_parameters + 1  # and the variance
    return deviance + 2 * p + 2 * p * (p + 1) / (size - p - 1) if size > p + 1 else float("inf")


def _akaike_weight(rss: float, rss_without: float, noise: CurveNoise, shape: tuple[int, ...]) -> float:
    """Return the weight of a law with one parameter more, not corrected for small samples: that would exclude it."""
    difference = _deviance(rss, noise, shape)[0] + 2 - _deviance(rss_without, noise, shape)[0]
    return float(1 / (1 + np.exp(difference / 2)))


def _interval(value: float, draws: npt.NDArray[Any]) -> Interval:
    low, high = np.percentile(draws, _PERCENT)
    return Interval(value, min(float(low), value), max(float(high), value))
