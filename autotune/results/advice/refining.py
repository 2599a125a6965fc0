"""The next study file: narrower, wider or fixed ranges, and the configurations of its first trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from autotune.results.advice.advice import Advice
from autotune.results.advice.ranges import at, between, position
from autotune.results.advice.story import Story
from autotune.results.final import BASELINE
from autotune.results.summary import nothing_complete
from autotune.search.history import describe

_FEWEST = 8  # fewer good trials may lie close together by accident
_GOOD_SHARE = 4  # one in this many trials counts as good
_MOST = (0.1, 0.9)  # the new range contains the good trials between these quantiles
_ROOM = 0.1  # share of the range that is added on both sides of them
_WORTH_WHILE = 0.75  # a range that would keep more than this share of its width stays as it is
_N_ENQUEUED = 3


@dataclass(frozen=True)
class Refined:
    """One hyperparameter in the next search.

    Attributes:
        name: The hyperparameter.
        line: Its line in the next study file.
        why: The reason of the change; "" if it does not change.
    """

    name: str
    line: str
    why: str


@dataclass(frozen=True)
class Refinement:
    """The next search.

    Attributes:
        study: The name of the finished search.
        hyperparameters: The hyperparameters of the next search.
        enqueue: The configurations of its first trials.
        advice: Advice other than on ranges.
    """

    study: str
    hyperparameters: tuple[Refined, ...]
    enqueue: tuple[Mapping[str, Any], ...]
    advice: tuple[Advice, ...]


def refine(story: Story) -> Refinement:
    """Return the next search, derived from the finished trials of a study.

    Raises:
        UsageError: If no trial is complete.
    """
    name = story.study.study_name
    if not story.best:
        raise nothing_complete(name)
    spaces: dict[str, BaseDistribution] = {}
    for trial in story.finished:
        spaces.update(trial.distributions)
    about = {one.parameter: one for one in story.advice if one.kind in ("widen", "fix")}
    found = {one: _next(story, one, spaces[one], about.get(one)) for one in spaces}
    fixed = {one for one, (after, _) in found.items() if after is None}
    return Refinement(
        study=name,
        hyperparameters=tuple(
            Refined(one, _line(one, after, story.best[0].params.get(one)), why) for one, (after, why) in found.items()
        ),
        enqueue=tuple(_enqueued(story, {one: after for one, (after, _) in found.items()}, fixed)),
        advice=tuple(one for one in story.advice if one.kind not in ("widen", "fix")),
    )


def _next(
    story: Story, name: str, before: BaseDistribution, advice: Advice | None
) -> tuple[BaseDistribution | None, str]:
    """Return the range of a hyperparameter in the next search (None if it is fixed), and the reason."""
    if advice is not None:
        return advice.distribution, advice.evidence
    matters = any(one.name == name and one.is_certain for one in story.important)
    n_good = max(_FEWEST, len(story.finished) // _GOOD_SHARE)
    good = [trial for trial in story.best[:n_good] if trial.distributions.get(name) == before]
    if not matters or len(good) < _FEWEST:
        return before, ""
    after = _narrowed(before, good, name)
    return (
        (before, "")
        if after == before
        else (after, f"Was {describe(before)}; most of the {len(good)} best trials lie here.")
    )


def _narrowed(before: BaseDistribution, good: Sequence[FrozenTrial], name: str) -> BaseDistribution:
    values = [trial.params[name] for trial in good]
    if isinstance(before, CategoricalDistribution):
        return CategoricalDistribution([choice for choice in before.choices if choice in values])
    assert isinstance(before, (FloatDistribution, IntDistribution))
    lowest, highest = np.quantile([position(before, value) for value in values], _MOST)
    low, high = max(0.0, float(lowest) - _ROOM), min(1.0, float(highest) + _ROOM)
    if high - low > _WORTH_WHILE:
        return before
    edges = before.low if low == 0 else at(before, low), before.high if high == 1 else at(before, high)
    return between(before, *edges)


def _enqueued(story: Story, spaces: Mapping[str, BaseDistribution | None], fixed: set[str]) -> list[Mapping[str, Any]]:
    """Return the configurations of the best trials (the confirmed ones if there are any) that lie in the next space."""
    if story.result is not None:
        confirmed = story.result.confirmation.candidates
        best = [one.params for one in confirmed if one.name != BASELINE and one.confirmed is not None]
    else:
        best = [trial.params for trial in story.best]
    found: list[Mapping[str, Any]] = []
    for params in best:
        kept = {name: value for name, value in params.items() if name not in fixed}
        lies_inside = all(_contains(spaces[name], value) for name, value in kept.items() if name in spaces)
        if lies_inside and kept and kept not in found and len(found) < _N_ENQUEUED:
            found.append(kept)
    return found


def _contains(distribution: BaseDistribution | None, value: Any) -> bool:
    return distribution is not None and distribution._contains(distribution.to_internal_repr(value))


def _line(name: str, distribution: BaseDistribution | None, best: Any) -> str:
    variable = name if name.isidentifier() else "value"
    if distribution is None:
        return f"{variable} = {best!r}"
    if isinstance(distribution, CategoricalDistribution):
        return f"{variable} = trial.suggest_categorical({name!r}, {list(distribution.choices)!r})"
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    kind = "float" if isinstance(distribution, FloatDistribution) else "int"
    step = f", step={distribution.step!r}" if distribution.step not in (None, 1) else ""
    log = ", log=True" if distribution.log else ""
    return f"{variable} = trial.suggest_{kind}({name!r}, {distribution.low!r}, {distribution.high!r}{step}{log})"
