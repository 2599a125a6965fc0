"""How the values of a study are standardized for a model of its curves: the middle at 0, the best at 1.5.

Symbols
    y     a value, larger is better
    g     its gap to the best one, (best - y) / (best - middle): 0 for the best value, 1 for the median
    δ     the headroom: how far beyond the best value the scale would end, in gaps
    u     the standardized value, -k log((g + δ) / (1 + δ)), k = 1.5 / log((1 + δ) / δ)

Accuracies of .990 and .995 are as far apart as .98 and .99 where errors are halved, and so are losses; but where values
have noise of their own nothing at the top is to be spread out further than that. The smaller δ is, the more the scale
spreads out the top; with a δ far above 1 it is straight. Which one fits a study is estimated with the model (`fit` in
curve_model.py): it is a parameter of the likelihood, as in Snelson, Rasmussen and Ghahramani 2003, "Warped Gaussian
Processes". Beyond the best value the scale goes on straight, and far below the middle it is drawn up by a logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from autotune.search.curves.kernel import Array

_BEST = 1.5  # the standardized best value
_STRAIGHT_TO = -1.0  # where the logarithm begins that draws up what is far below the middle
_DEEPEST = 50.0  # below that


@dataclass(frozen=True)
class Scale:
    """How values are standardized.

    Attributes:
        middle: The median of the trials' last values.
        spread: How far the best value is from it, above 0.
        floor: The worst value, which stands for those that are not finite.
        headroom: δ, above 0.
    """

    middle: float
    spread: float
    floor: float
    headroom: float = 1.0

    def finite(self, values: Iterable[float]) -> Array:
        """Return values as an array, shape (n,), the worst one in place of those that are not finite."""
        return np.array([value if math.isfinite(value) else self.floor for value in values])

    def standardized(self, values: Iterable[float]) -> Array:
        """Return u of n values, shape (n,)."""
        u = self._bent(self._gaps(values))
        return np.where(u < _STRAIGHT_TO, _STRAIGHT_TO - np.log1p(_depths(u)), u)

    def log_slopes(self, values: Iterable[float]) -> Array:
        """Return the logarithms of the derivative of u by g, its sign aside, at n values, shape (n,)."""
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
    """Return how far below the part that stays as it is, not more than so far."""
    return np.asarray(np.clip(_STRAIGHT_TO - u, 0.0, _DEEPEST))
