"""Pairs of hyperparameters whose effects depend on each other.

The range of each hyperparameter is cut into a few parts. Two models are fitted to the values by least squares, one with
an effect of each part, one with an effect of each pair of parts. An F-test tells whether pairs explain significantly
more (two-way analysis of variance). Ranks are not used, because they turn additive effects into interactions (Thompson,
Biometrika 78, 1991); instead outliers are clipped to the outer fence of Tukey's box plot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.trial import FrozenTrial

from autotune.results.advice.ranges import is_ordered, position
from autotune.search.history import first_value

_PARTS = 3
_CHANCE = 0.01
_FEWEST = 30


@dataclass(frozen=True)
class Interaction:
    """Two hyperparameters whose effects depend on each other.

    Attributes:
        first: One of them.
        second: The other.
        p_value: The p-value of the F-test, with Bonferroni's correction for the number of pairs.
    """

    first: str
    second: str
    p_value: float


def strongest_interaction(trials: Sequence[FrozenTrial], names: Sequence[str]) -> Interaction | None:
    """Return the pair with the strongest interaction; None if none is significant.

    Args:
        trials: Complete trials with finite values; with several objectives the first value counts.
        names: The hyperparameters to test.
    """
    pairs = list(combinations(names, 2))
    found = [Interaction(a, b, min(1.0, len(pairs) * _p_value(trials, a, b))) for a, b in pairs]
    strongest = min(found, key=lambda one: one.p_value, default=None)
    return strongest if strongest is not None and strongest.p_value < _CHANCE else None


def _p_value(trials: Sequence[FrozenTrial], first: str, second: str) -> float:
    from scipy import stats

    both = [trial for trial in trials if first in trial.params and second in trial.params]
    if len(both) < _FEWEST:
        return 1.0
    a, b = (_parts(both, name) for name in (first, second))
    values = _fenced(np.array([first_value(trial) for trial in both], dtype=np.float64))
    apart = np.hstack([_indicators(a), _indicators(b)])
    together = _indicators(a * (int(b.max()) + 1) + b)
    (rest, freedom), (rest_together, freedom_together) = _fitted(apart, values), _fitted(together, values)
    extra = freedom - freedom_together
    if extra <= 0 or freedom_together <= 0 or rest_together <= 0:
        return 1.0
    ratio = ((rest - rest_together) / extra) / (rest_together / freedom_together)
    return float(stats.f.sf(ratio, extra, freedom_together))


def _fenced(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    low, high = np.quantile(values, (0.25, 0.75))
    reach = 3 * (high - low)
    return np.clip(values, low - reach, high + reach)


def _fitted(columns: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[float, int]:
    """Return the residual sum of squares, and its degrees of freedom."""
    solution, _, rank, _ = np.linalg.lstsq(columns, y, rcond=None)
    return float(((y - columns @ solution) ** 2).sum()), len(y) - int(rank)


def _indicators(parts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.equal(parts[:, None], np.unique(parts)[None, :]).astype(np.float64)


def _parts(trials: Sequence[FrozenTrial], name: str) -> npt.NDArray[np.int64]:
    """Return the part of the range in which each trial's value lies; each choice is its own part."""
    values: list[Any] = [trial.params[name] for trial in trials]
    if not all(is_ordered(trial.distributions[name]) for trial in trials) or len(set(values)) <= _PARTS:
        words = [repr(value) for value in values]  # a list has no hash
        known = {word: number for number, word in enumerate(dict.fromkeys(words))}
        return np.array([known[word] for word in words])
    where = np.array([position(trial.distributions[name], trial.params[name]) for trial in trials])
    edges = np.quantile(where, [part / _PARTS for part in range(1, _PARTS)])
    return np.searchsorted(edges, where, side="right")
