"""The importance of hyperparameters, with 95 % intervals.

PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023; Optuna's own evaluator) compares the distribution of the best trials
with that of all trials. Its numbers are never zero, so the number for the same trials with shuffled results is
subtracted; the rest is the excess over chance. Results are shuffled only among trials of about the same time, because a
sampler that learns moves all hyperparameters while results get better, also those that do not matter. The interval
comes from resampling the trials (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993).

Symbols: n trials, p hyperparameters, b resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from optuna.trial import FrozenTrial

from autotune.results.advice.ped_anova import PedAnova
from autotune.results.summary import badness, finished_in_order
from autotune.search.history import countable_trial

FEWEST = 20
"""A hyperparameter with fewer finished trials has no importance, because its interval would reach zero."""

MOST = 1000
"""With more finished trials, only every second, third and so on is used, because each resample evaluates them twice."""

# In toy studies in which two of eight hyperparameters matter, with 120 trials and TPE, these settings find most of them
# and hardly ever a wrong one; the usual share of good trials, a tenth, finds none.
_GOOD_SHARE = 0.4
_NEIGHBOURS = 10
_INTERVAL = (2.5, 50.0, 97.5)  # percent


@dataclass(frozen=True)
class Importance:
    """The importance of one hyperparameter for the difference between good and bad trials.

    Attributes:
        name: The hyperparameter.
        share: Its share, from 0 to 1; the shares of all hyperparameters add up to 1 unless all are 0.
        low: Lower end of the 95 % interval of the share; may be below 0.
        high: Upper end.
    """

    name: str
    share: float
    low: float
    high: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval does not contain zero."""
        return self.low > 0


def importances(study: optuna.Study, resamples: int = 100, seed: int = 0) -> list[Importance]:
    """Return the importance of each hyperparameter that at least `FEWEST` finished trials have, the largest first.

    If there are more than `MOST` trials, only a part is used. Pruned trials count as worse than complete ones. With
    several objectives the first counts.

    Args:
        study: The study.
        resamples: Number of resamples, at least 1.
        seed: The seed of the resamples.
    """
    trials = looked_at(finished_in_order(study))
    varied = _varied(trials)
    if len(trials) < FEWEST or not varied:
        return []
    places = np.array(badness(study, list(trials)), dtype=np.float64)
    trials = [countable_trial(trial) for trial in trials]
    rng = np.random.default_rng(seed)
    analysis = PedAnova(trials, varied, _GOOD_SHARE)
    excess = np.array([_excess(analysis, places, rng) for _ in range(resamples)])
    low, middle, high = np.percentile(excess, _INTERVAL, axis=0)
    whole = max(float(np.maximum(middle, 0.0).sum()), 1e-12)
    found = [
        Importance(name, max(0.0, float(middle[i])) / whole, float(low[i]) / whole, float(high[i]) / whole)
        for i, name in enumerate(varied)
    ]
    return sorted(found, key=lambda one: (-one.share, one.name))


def looked_at(finished: Sequence[FrozenTrial]) -> Sequence[FrozenTrial]:
    """Return the finished trials that `importances` uses, evenly spaced over the whole search."""
    return finished[:: math.ceil(len(finished) / MOST) or 1]


def _varied(trials: Sequence[FrozenTrial]) -> list[str]:
    """Return the hyperparameters with more than one tried value and at least `FEWEST` trials."""
    values: dict[str, list[Any]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            values.setdefault(name, []).append(value)
    return sorted(name for name, tried in values.items() if len(tried) >= FEWEST and len(set(map(repr, tried))) > 1)


def _excess(analysis: PedAnova, places: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return the importances of trials drawn with replacement, less those with shuffled results; shape (p,)."""
    drawn = np.sort(rng.integers(0, len(places), len(places)))
    results = places[drawn]
    shuffled = results.copy()
    for start in range(0, len(drawn), _NEIGHBOURS):
        shuffled[start : start + _NEIGHBOURS] = rng.permutation(shuffled[start : start + _NEIGHBOURS])
    return analysis.importances(drawn, results) - analysis.importances(drawn, shuffled)
