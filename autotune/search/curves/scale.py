"""The scale on which the values of a study are standardized for the model of its curves: median 0, best 1.5.

Symbols
    y     a value, larger is better
    g     its gap to the best value, (best - y) / (best - middle): 0 for the best value, 1 for the median
    δ     the headroom: the distance from the best value to the end of the scale, in gaps
    u     the standardized value, -k log((g + δ) / (1 + δ)), k = 1.5 / log((1 + δ) / δ)

Accuracies of .990 and .995 are as far apart as .98 and .99 if halving the error counts, and the same holds for losses.
But if values are noisy, the scale must not spread the top further than the noise allows. A smaller δ spreads the top
more; with a δ far above 1 the scale is linear. δ is a parameter of the likelihood and is fitted with the model (`fit`
in model.py), as in Snelson, Rasmussen and Ghahramani 2003, "Warped Gaussian Processes". Beyond the best value the scale
is linear, and far below the middle a logarithm compresses it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from autotune.search.curves.kernel import Array

_BEST = 1.5  # the standardized best value
_STRAIGHT_TO = -1.0  # values of u below this are compressed by a logarithm
_DEEPEST = 50.0  # the largest depth below `_STRAIGHT_TO`


@dataclass(frozen=True)
class Scale:
    """The scale of a study.

    Attributes:
        middle: The median of the trials' last values.
        spread: The distance from the median to the best value, above 0.
        floor: The worst value, which replaces values that are not finite.
        headroom: δ, above 0.
    """

    middle: float
    spread: float
    floor: float
    headroom: float = 1.0

    def finite(self, values: Iterable[float]) -> Array:
        """Return values as an array, shape (n,), with `floor` in place of those that are not finite."""
        return np.array([value if math.isfinite(value) else self.floor for value in values])

    def standardized(self, values: Iterable[float]) -> Array:
        """Return the standardized values u of n values, shape (n,)."""
        u = self._bent(self._gaps(values))
        return np.where(u < _STRAIGHT_TO, _STRAIGHT_TO - np.log1p(_depths(u)), u)

    def log_slopes(self, values: Iterable[float]) -> Array:
        """Return the logarithms of the absolute derivative of u with respect to g at n values, shape (n,)."""
        gaps = self._gaps(values)
        return np.log(self._factor / (np.maximum(gaps, 0.0) + self.headroom)) - np.log1p(_depths(self._bent(gaps)))

    @property
    def _factor(self) -> float:
        return _BEST / math.log((1.0 + self.headroom) / self.headroom)

    def _gaps(self, values: Iterable[float]) -> Array:
        return (self.middle + self.spread - self.finite(values)) / self.spread

    def _bent(self, gaps: Array) -> Array:
        below = -self._factor * np.log((np.maximum(gaps, 0.0) + self.headroom) / (1.0 + self.headroom))
        return np.asarray(below - self._factor / self.headroom * np.minimum(gaps, 0.0))


def _depths(u: Array) -> Array:
    """Return the depth of each u below `_STRAIGHT_TO`, in [0, `_DEEPEST`]."""
    return np.asarray(np.clip(_STRAIGHT_TO - u, 0.0, _DEEPEST))
