"""Power laws fitted by weighted least squares, to many curves at a time.

Symbols: m curves of K numbers of rows n, the largest of which is n_max; means of shape (m, K), weights of shape (K,).
A law is error(n) = a * (n / n_max)**-b + c. For each b the best a and c are known, so that b alone is searched: Golub
and Pereyra, "The Differentiation of Pseudo-Inverses and Nonlinear Least Squares Problems Whose Variables Separate",
SIAM Journal on Numerical Analysis 10, 1973.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Array: TypeAlias = npt.NDArray[np.float64]

_B = np.geomspace(0.01, 4.0, 500)  # exponents that are tried; Hestness et al. found 0.07 to 0.35, simple tasks have 1


@dataclass(frozen=True, eq=False)
class Fits:
    """Laws of m curves: a, b and c, shape (m, 3), and their weighted sums of squares, shape (m,)."""

    laws: _Array
    rss: _Array


def fit_without_floor(n: _Array, means: _Array, weights: _Array, b: _Array = _B) -> Fits:
    """Fit m curves with c = 0, by the exponents that are tried."""
    sums = _Sums.of(n, means, weights, b)
    return sums.best(np.maximum(sums.xy / sums.xx, 0.0), np.zeros_like(sums.xy))


def fit_with_floor(n: _Array, means: _Array, weights: _Array, b: _Array = _B) -> Fits:
    """Fit m curves with a and c of at least 0, by the exponents that are tried."""
    s = _Sums.of(n, means, weights, b)
    determinant = s.xx * s.one - s.x**2
    a, c = (s.xy * s.one - s.x * s.y) / determinant, (s.xx * s.y - s.x * s.xy) / determinant
    rises, has_floor = a <= 0, c > 0
    a = np.where(rises, 0.0, np.where(has_floor, a, np.maximum(s.xy / s.xx, 0.0)))
    return s.best(a, np.where(rises, np.maximum(s.y / s.one, 0.0), np.where(has_floor, c, 0.0)))


def fit_closely(fit: Callable[..., Fits], n: _Array, means: _Array, weights: _Array) -> Fits:
    """Fit one curve, shape (K,), with more and more exponents around the best one."""
    tried = _B
    for _ in range(3):
        best = int(np.searchsorted(tried, fit(n, means[np.newaxis], weights, tried).laws[0, 1]))
        tried = np.geomspace(tried[max(best - 1, 0)], tried[min(best + 1, len(tried) - 1)], len(_B))
    return fit(n, means[np.newaxis], weights, tried)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Weighted sums over K of products of x = (n / n_max)**-b and y, the errors of m curves, for each b that is tried.

    Shapes: `b` (n_b,), `one` (), `x` and `xx` (n_b,), `y` and `yy` (m, 1), `xy` (m, n_b).
    """

    b: _Array
    one: float
    x: _Array
    xx: _Array
    y: _Array
    yy: _Array
    xy: _Array

    @classmethod
    def of(cls, n: _Array, means: _Array, weights: _Array, b: _Array) -> _Sums:
        x = (n / n[-1]) ** -b[:, np.newaxis]
        y, yy = (means @ weights)[:, np.newaxis], (means**2 @ weights)[:, np.newaxis]
        return cls(b, float(weights.sum()), x @ weights, x**2 @ weights, y, yy, means @ (x * weights).T)

    def best(self, a: _Array, c: _Array) -> Fits:
        """Return the best of the laws with these a and c, shape (m, n_b), for each of the m curves."""
        rss = self.yy - 2 * (a * self.xy + c * self.y) + a**2 * self.xx + 2 * a * c * self.x + c**2 * self.one
        each, chosen = np.arange(len(rss)), rss.argmin(axis=1)
        laws = np.stack([a[each, chosen], self.b[chosen], c[each, chosen]], axis=1)
        return Fits(laws, np.maximum(rss[each, chosen], 0.0))


def errors_of(law: _Array, n: _Array) -> _Array:
    """Return the errors by a law, its a, b and c; shape (K,)."""
    a, b, c = law
    errors: _Array = a * (n / n[-1]) ** -b + c
    return errors
