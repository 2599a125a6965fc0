"""The choice of a few configurations that are good in many earlier studies, and cover them.

Symbols
    s     the earlier studies; c candidates: the best configurations of each
    v     the value that study s expects of candidate c, standardized, shape (s, c)
    b     for each study, the largest v of the candidates chosen so far, shape (s,)

The next one is the candidate with the largest mean over the studies of max(b, v) + w v: the first term covers the
studies, the second prefers what is good in all of them. After Feurer, Eggensperger, Falkner, Lindauer and Hutter 2022,
"Auto-sklearn 2.0", which builds its portfolio greedily from measured performances; here the models of the earlier
studies stand in for those that nobody has measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from optuna.distributions import BaseDistribution

from autotune.search.transfer.earlier import Earlier
from autotune.search.transfer.fitting import fitted
from autotune.search.transfer.origin import Origin

MOST_LEARNED = 5
"""The largest number of configurations that a study takes over."""

_OF_EACH = 3  # candidates of each earlier study
_WEIGHT_OF_MEAN = 0.3  # w
_NOTHING = -10.0  # below all values: nothing is chosen yet


def portfolio(
    earlier: Sequence[Earlier], space: Mapping[str, BaseDistribution] | None = None, most: int = MOST_LEARNED
) -> list[Origin]:
    """Return configurations of earlier studies to begin a new study with, the most promising first.

    Args:
        earlier: The earlier studies.
        space: The new search space; None if it is not known yet. Parameters are compared by name, and values are those
            that the space has (see `fitted`). Configurations of which nothing is left, or that are the same then, are
            left out.
        most: The largest number of configurations, at least 0.
    """
    pool = _candidates(earlier, space)
    if not pool:
        return []
    values = np.array([study.expected([one.params for one in pool]) for study in earlier])
    chosen: list[int] = []
    covered = np.full(len(earlier), _NOTHING)
    for _ in range(min(most, len(pool))):
        gains = (np.maximum(covered[:, None], values) + _WEIGHT_OF_MEAN * values).mean(axis=0)
        gains[chosen] = -np.inf
        chosen.append(int(gains.argmax()))
        covered = np.maximum(covered, values[:, chosen[-1]])
    return [pool[index] for index in chosen]


def _candidates(earlier: Sequence[Earlier], space: Mapping[str, BaseDistribution] | None) -> list[Origin]:
    found: dict[str, Origin] = {}
    for study in earlier:
        best = zip(study.numbers[:_OF_EACH], study.configurations[:_OF_EACH], strict=True)
        for number, params in best:
            kept = dict(params) if space is None else fitted(params, space)
            if kept:
                found.setdefault(repr(sorted(kept.items())), Origin(study.name, number, kept))
    return list(found.values())
