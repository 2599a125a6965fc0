"""Where in the search space trials fail."""

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
    """A part of the space in which more trials fail than elsewhere, beyond chance.

    Attributes:
        parameter: The hyperparameter that it is a part of.
        where: The part in words, e.g. "learning_rate above 0.03".
        n_there: How many trials lie there.
        n_failed: How many of these have failed.
    """

    parameter: str
    where: str
    n_there: int
    n_failed: int


def failing_region(trials: Sequence[FrozenTrial]) -> FailingRegion | None:
    """Return the part of one hyperparameter that goes best with failure; None if none does beyond chance.

    The parts are those above or below a value that was tried, and single choices; each is held against the rest by
    Fisher's exact test, with Bonferroni's allowance for the number of parts.

    Args:
        trials: Complete, pruned and failed trials.
    """
    from scipy import stats

    parts = [part for part in _parts(trials) if part.n_failed]
    best: tuple[float, float] | None = None  # of many trials several have no p-value that is larger than zero
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
    """A part of one hyperparameter: what is in it, and what is in all of the hyperparameter."""

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
    """Name parts of a hyperparameter, and which of its values lie there."""
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
    """Return the values, of many evenly many: thousands of cuts say no more, and take hours."""
    return values[:: math.ceil(len(values) / _MOST_CUTS) or 1]
