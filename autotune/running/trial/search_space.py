"""The search space of `build`, `fit` and `batch`, found by calling them with given parameters.

The parameters come from stored trials, or from the study file's own `baseline` and `enqueue`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from autotune.data.rows import Dataset
from autotune.errors import SearchSpaceError
from autotune.failures import summary_of
from autotune.running.trial.answering import Replay
from autotune.running.trial.given_configurations import BASELINE, configurations, outside
from autotune.running.trial.noting_trial import NotingTrial
from autotune.running.trial.piped_trial import PipedTrial
from autotune.search.history import describe, differences, n_values, value_at
from autotune.search.transfer import fitted
from autotune.study import StudySpec

_MOST_BRANCHES = 24  # how many networks to build in search of a parameter that depends on other parameters
_FEW_VALUES = 8  # only parameters with at most so many values are tried as such other parameters

_FEW_ROWS = 8  # of the batch that the study file's `batch` is called with

Distributions = dict[str, BaseDistribution]


@dataclass(frozen=True)
class PastTrial:
    """The parameters and distributions of a stored trial, to compare with those of the study file now."""

    number: int
    params: dict[str, Any]
    distributions: Distributions
    is_finished: bool


Replayed = list[tuple[PastTrial, Distributions]]


@dataclass(frozen=True)
class CheckedGiven:
    """The configurations that a study file gives: its `baseline`, `enqueue` and `guess`.

    Attributes:
        problems: Their problems, one line each.
        has_usual: Whether one of them gives the usual values of `autotune.spaces`, and no others.
    """

    problems: list[str]
    has_usual: bool


def replayed(spec: StudySpec, data: Dataset, past: list[PastTrial]) -> Replayed:
    """Return each stored trial with the distributions that the study file asks for now, given the trial's parameters.

    A trial whose network cannot be built is left out: it failed as a trial, too.
    """
    asked = [(trial, *_asked(spec, data, trial.params, trial.number)) for trial in past]
    return [(trial, distributions) for trial, distributions, problem in asked if problem is None]


def space_changes(replayed: Replayed) -> list[str]:
    """Return how the search space differs from that of the finished trials, one line per parameter."""
    for trial, now in replayed:
        if trial.is_finished and (changes := differences(trial.distributions, now)):
            return changes
    return []


def choice_changes(replayed: Replayed) -> list[str]:
    """Return how the choices of categorical parameters differ from those of stored trials, one line per parameter."""
    for trial, now in replayed:
        common = trial.distributions.keys() & now.keys()
        before = {
            n: trial.distributions[n] for n in common if isinstance(trial.distributions[n], CategoricalDistribution)
        }
        if changes := differences(before, {name: now[name] for name in before}):
            return changes
    return []


def check_given(spec: StudySpec, data: Dataset) -> CheckedGiven:
    """Compare the configurations that the study file gives with its search space."""
    problems, has_usual = [], False
    for label, params in configurations(spec.baseline, spec.enqueue, spec.guess or ()).items():
        usual: dict[str, Any] = {}
        asked, error = _asked(spec, data, params, usual=usual)
        has_usual |= fitted(params, asked) == fitted(usual, asked)
        found = outside(params, asked)
        if error is None:
            is_whole = label == BASELINE
            missing = [name for name in asked if name not in params]
            reached = _in_branches(spec, data, params, asked, params) if missing and not is_whole else asked
            unknown = params.keys() - reached.keys()
            found += [f"{name} is missing: {describe(asked[name])}" for name in missing if is_whole]
            found += [f"{name} is not asked for; there is {', '.join(asked) or 'nothing'}" for name in sorted(unknown)]
        elif not found:
            found = [f"it cannot be built: {summary_of(error)}"]
        problems += [f"{label}: {problem}" for problem in found]
    return CheckedGiven(problems, has_usual)


def _asked(
    spec: StudySpec, data: Dataset, params: Mapping[str, Any], number: int = 0, usual: dict[str, Any] | None = None
) -> tuple[Distributions, Exception | None]:
    """Return the distributions that the study file asks for, given these values, and the error that stopped it.

    `usual` receives the usual values of `autotune.spaces`, also those of functions that are not chosen.
    """
    replay = Replay(dict(params), number)
    piped: Any = PipedTrial(replay) if usual is None else NotingTrial(replay, usual)
    try:
        if spec.build is not None:
            spec.build(piped, data)
        if spec.fit is not None:
            spec.fit(piped)
        if spec.batch is not None:
            spec.batch(piped, data.batch(np.arange(min(_FEW_ROWS, len(data))), spec.one_hot), np.random.default_rng(0))
    except SearchSpaceError:
        raise
    except Exception as error:
        return replay.distributions, error
    return replay.distributions, None


def space_with(spec: StudySpec, data: Dataset, names: Collection[str]) -> Distributions:
    """Return the distributions that the study file asks for, in all branches until it has asked for these names."""
    asked, _ = _asked(spec, data, {})
    return _in_branches(spec, data, {}, asked, names)


def _in_branches(
    spec: StudySpec, data: Dataset, params: Mapping[str, Any], asked: Distributions, names: Collection[str]
) -> Distributions:
    """Return the distributions that the study file asks for if parameters that are not given have other values.

    Args:
        spec: The study.
        data: Its training rows.
        params: The given parameters.
        asked: The distributions that it asks for with these.
        names: Once all of these have been asked for, no more values are tried.
    """
    waiting = deque(_branches({}, params, asked))
    for _ in range(_MOST_BRANCHES):
        if asked.keys() >= set(names) or not waiting:
            break
        values = waiting.popleft()
        now, _ = _asked(spec, data, {**params, **values})
        waiting.extend(_branches(values, params, {n: d for n, d in now.items() if n not in asked}))
        asked = {**now, **asked}
    return asked


def _branches(values: Mapping[str, Any], params: Mapping[str, Any], asked: Distributions) -> Iterator[dict[str, Any]]:
    """Yield `values` with one more parameter, at each of its values but the first, which a replay answers itself."""
    for name, distribution in asked.items():
        n = n_values(distribution)
        if name not in params and name not in values and n is not None and n <= _FEW_VALUES:
            for position in range(1, n):
                yield {**values, name: value_at(distribution, position)}
