"""The region of the search space where trials fail."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from autotune.results.advice.ranges import is_ordered

_CHANCE = 0.05
_MOST_CUTS = 100


@dataclass(frozen=True)
class FailingRegion:
    """A part of the range of one hyperparameter in which significantly more trials fail than elsewhere.

    Attributes:
        parameter: The hyperparameter.
        where: The part in words, e.g. "learning_rate of 0.03 and more".
        n_there: Number of trials in this part.
        n_failed: Number of failed trials among them.
    """

    parameter: str
    where: str
    n_there: int
    n_failed: int


def failing_region(trials: Sequence[FrozenTrial]) -> FailingRegion | None:
    """Return the part of a hyperparameter's range with the most significant failures; None if none is significant.

    The parts are those above or below a tried value, and single choices. Each is compared with the rest by Fisher's
    exact test, with Bonferroni's correction for the number of parts.

    Args:
        trials: Complete, pruned and failed trials.
    """
    from scipy import stats

    parts = [part for part in _parts(trials) if part.n_failed]
    best: tuple[float, float] | None = None  # with many trials several p-values may be 0, so the share decides
    found: FailingRegion | None = None
    for part in parts:
        outside, failed_outside = part.n_having - part.n_there, part.n_failed_having - part.n_failed
        table = [[part.n_failed, part.n_there - part.n_failed], [failed_outside, outside - failed_outside]]
        p_value = float(stats.fisher_exact(table, alternative="greater").pvalue) * len(parts)
        key = p_value, -part.n_failed / part.n_there
        if p_value < _CHANCE and (best is None or key < best):
            best, found = key, FailingRegion(part.name, f"{part.name} {part.where}", part.n_there, part.n_failed)
    return found


@dataclass(frozen=True)
class _Part:
    """A part of a hyperparameter's range, with the numbers of its trials and of all trials with the hyperparameter."""

    name: str
    where: str
    n_there: int
    n_failed: int
    n_having: int
    n_failed_having: int


def _parts(trials: Sequence[FrozenTrial]) -> Iterator[_Part]:
    distributions: dict[str, BaseDistribution] = {}
    for trial in trials:
        distributions.update(trial.distributions)
    for name, distribution in distributions.items():
        having = [trial for trial in trials if name in trial.params]
        failed = np.array([trial.state == TrialState.FAIL for trial in having])
        for where, there in _cuts(distribution, [trial.params[name] for trial in having]):
            inside = (int(there.sum()), int((there & failed).sum()))
            yield _Part(name, where, *inside, len(having), int(failed.sum()))


def _cuts(distribution: BaseDistribution, values: list[Any]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Yield the name of each part of a hyperparameter's range, and which values lie in it."""
    different = list({repr(value): value for value in values}.values())
    if not is_ordered(distribution):
        for value in different:
            yield f"= {value}", np.array([one == value for one in values])
        return
    numbers, edges = np.array(values, dtype=float), sorted(different)
    for value in _some(edges[1:]):
        yield f"of {value:.3g} and more", numbers >= value
    for value in _some(edges[:-1]):
        yield f"of {value:.3g} and less", numbers <= value


def _some(values: list[Any]) -> list[Any]:
    """Return at most about `_MOST_CUTS` values, evenly spaced: thousands of cuts tell no more, and take hours."""
    return values[:: math.ceil(len(values) / _MOST_CUTS) or 1]
