"""Which hyperparameters separate good trials from bad ones, and how sure that is.

PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023; Optuna's own evaluator) compares where the best trials lie with
where all of them lie. Its numbers are never zero, so each is held against the same trials with their results shuffled:
what is left is the excess over chance. Results are shuffled among trials of about the same time only, because a sampler
that learns lets all hyperparameters drift, those that do not matter too, while results get better. The interval comes
from resampling the trials (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993).

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
"""Of a hyperparameter with fewer finished trials than this nothing is said: its interval would reach zero."""

MOST = 1000
"""Of more finished trials than this, every second, third and so on is looked at: each resample evaluates them twice."""

# Of toy studies with two hyperparameters of eight that matter, 120 trials and TPE, these find most and hardly ever a
# wrong one; a tenth of the trials, which is the usual share of good ones, finds none.
_GOOD_SHARE = 0.4
_NEIGHBOURS = 10
_INTERVAL = (2.5, 50.0, 97.5)  # percent


@dataclass(frozen=True)
class Importance:
    """How much of the difference between good and bad trials goes with one hyperparameter.

    Attributes:
        name: The hyperparameter.
        share: Its part of the whole, from 0 to 1; those of all hyperparameters add up to 1 unless all are 0.
        low: Lower end of the 95 % interval of the share; may be below 0.
        high: Upper end.
    """

    name: str
    share: float
    low: float
    high: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0


def importances(study: optuna.Study, resamples: int = 100, seed: int = 0) -> list[Importance]:
    """Return the importance of each hyperparameter that `FEWEST` finished trials or more have, the largest first.

    Of more than `MOST` trials a part is looked at. Pruned trials count as worse than complete ones. With several
    objectives it is the first that counts.

    Args:
        study: The study.
        resamples: How often the trials are drawn anew, at least 1.
        seed: What they are drawn from.
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
    """Return the finished trials that importances come from, over the whole of a search."""
    return finished[:: math.ceil(len(finished) / MOST) or 1]


def _varied(trials: Sequence[FrozenTrial]) -> list[str]:
    """Return the hyperparameters that more than one value was tried of, in trials enough to say something."""
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
