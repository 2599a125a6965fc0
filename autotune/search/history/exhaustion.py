"""What has been tried, and whether anything is left to try.

A search space is known only from the trials in it: a study file asks for parameters as it runs, and which it asks for
next may depend on the values so far. What is held to here is that the values so far decide what is asked for next,
from which distribution. The order in which a trial was asked for its parameters is not needed: gRPC storages lose it.

What is covered: conditional spaces, distributions that depend on other parameters, trials that failed before all
their parameters were asked for (none of those could have helped).
What is not covered: spaces that change from trial to trial; they are never said to be exhausted.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from autotune.search.history.domain import index_of, is_same, n_values

FAULTS_OF_CONFIGURATION = frozenset({"nan", "oom", "timeout"})
"""The reasons (user attribute "failure") with which a configuration fails however often it is tried."""


def tried(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials whose configurations need not be tried again."""
    return [t for t in trials if t.params and _is_tried(t)]


def is_endless(trials: Sequence[FrozenTrial]) -> bool:
    """Say whether a parameter that all trials have gives the space endlessly many configurations.

    It takes next to no time, and answers for most searches.
    """
    if not trials:
        return False
    endless = [name for name, distribution in trials[-1].distributions.items() if n_values(distribution) is None]
    return any(all(name in t.distributions for t in trials) for name in endless)


def is_exhausted(trials: Sequence[FrozenTrial]) -> bool:
    """Say whether every configuration there is has been tried.

    Args:
        trials: Those that count as tried. A trial without any parameter says nothing about the space.
    """
    return all_tried(trials, {})


def n_untried(trials: Sequence[FrozenTrial]) -> float:
    """Return how many configurations are left at least; infinity if they are endless, or nothing is known.

    Args:
        trials: Those that count as tried.
    """
    return _n_uncovered(_longer(trials, ()), ()) if any(t.params for t in trials) else math.inf


def all_tried(trials: Sequence[FrozenTrial], params: Mapping[str, Any]) -> bool:
    """Say whether every configuration with these values has been tried.

    Args:
        trials: Those that count as tried.
        params: Values of any parameters; those that turn out not to be asked for do not matter.
    """
    group = below(trials, params)
    return bool(group) and _is_covered(group, params.keys())


def below(trials: Iterable[FrozenTrial], params: Mapping[str, Any]) -> list[FrozenTrial]:
    """Return the trials that have these values, or do not have these parameters.

    Those that have nothing else are left out where others do: what made them fail need not happen again.
    """
    group = [t for t in trials if t.params and _agrees(t, params)]
    return _longer(group, params.keys()) or group


def draw_untried(
    trials: Sequence[FrozenTrial],
    params: Mapping[str, Any],
    name: str,
    distribution: BaseDistribution,
    rng: random.Random,
) -> int | None:
    """Draw one of the values of a parameter with which there is still something to try, all equally likely.

    Args:
        trials: Those that count as tried.
        params: The values of the parameters that were asked for before.
        name: The parameter.
        distribution: Its distribution.
        rng: Where the chance comes from.

    Returns:
        The value's number, for `value_at`; None if there is none, or they are endless.
    """
    total = n_values(distribution)
    group = below(trials, params)
    if total is None or (group and _is_covered(group, params.keys())):
        return None
    by_position = defaultdict(list)
    for trial in group:
        if name in trial.params:
            by_position[index_of(distribution, trial.params[name])].append(trial)
    known = {*params, name}
    used_up = sorted(p for p, those in by_position.items() if p is not None and _is_covered(those, known))
    if len(used_up) == total:
        return None
    drawn = rng.randrange(total - len(used_up))
    for p in used_up:
        drawn += p <= drawn
    return drawn


def twin(trials: Iterable[FrozenTrial], params: Mapping[str, Any]) -> FrozenTrial | None:
    """Return the first of the trials that has exactly these parameters and values; None if there is none.

    Trials without any parameter have no twins: nothing says that they were to be the same.
    """
    names = params.keys()
    for trial in trials:
        if names and trial.params.keys() == names and _agrees(trial, params):
            return trial
    return None


def has_more(trials: Iterable[FrozenTrial], params: Mapping[str, Any]) -> bool:
    """Say whether one of the trials was given these values, and others after them: then they are not all there is."""
    return any(trial.params.keys() > params.keys() and _agrees(trial, params) for trial in trials)


def is_countable(trial: FrozenTrial) -> bool:
    """Say whether none of a trial's parameters has endlessly many values."""
    return all(n_values(distribution) is not None for distribution in trial.distributions.values())


def rough_key(params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> Hashable:
    """Return what is the same for all that `twin` holds for the same, and different for most others."""
    return tuple(sorted((name, _rough(value, distributions[name])) for name, value in params.items()))


def _rough(value: Any, distribution: BaseDistribution) -> int:
    """Return a number for a value; the same for all where equal ones may differ by rounding, or have no hash."""
    has_steps = isinstance(distribution, FloatDistribution) and distribution.step is not None
    if has_steps or value != value:
        return 0
    try:
        return hash(value)
    except TypeError:
        return 0


def _is_tried(trial: FrozenTrial) -> bool:
    if trial.state == TrialState.FAIL:
        return trial.user_attrs.get("failure") in FAULTS_OF_CONFIGURATION
    return trial.state.is_finished()


def _agrees(trial: FrozenTrial, params: Mapping[str, Any]) -> bool:
    values, distributions = trial.params, trial.distributions
    for name, value in params.items():  # `all` of them takes twice as long
        if name in values and not is_same(distributions[name], values[name], value):
            return False
    return True


def _longer(trials: Iterable[FrozenTrial], known: Collection[str]) -> list[FrozenTrial]:
    return [t for t in trials if any(name not in known for name in t.params)]


def _is_covered(trials: Sequence[FrozenTrial], known: Collection[str]) -> bool:
    """Say whether trials that agree on the known parameters are all that can be tried with those.

    They are split by all other parameters that every one of them has, from one and the same distribution. If each
    combination of values is there, and is covered itself, then so is the whole: what a configuration that nobody has
    tried is asked for first, second and so on is, by induction, what one of these trials was asked for and answered
    in the same way.
    """
    trials = _longer(trials, known)
    if not trials:
        return True
    if is_endless(trials):
        return False
    shared = _shared(trials, known)
    total = _n_combinations(shared)
    if not 0 < total <= len(trials):
        return False
    inside = _groups(trials, shared)
    return len(inside) == total and all(_is_covered(group, {*known, *shared}) for group in inside)


def _n_uncovered(trials: Sequence[FrozenTrial], known: Collection[str]) -> float:
    """Count what `_is_covered` finds missing: a combination of values that nobody has tried counts as one."""
    trials = _longer(trials, known)
    if not trials:
        return 0
    if is_endless(trials):
        return math.inf
    shared = _shared(trials, known)
    total = _n_combinations(shared)
    if not total:
        return 1
    inside = _groups(trials, shared)
    return total - len(inside) + sum(_n_uncovered(group, {*known, *shared}) for group in inside)


def _n_combinations(shared: Mapping[str, int]) -> int:
    return math.prod(shared.values()) if shared else 0


def _groups(trials: Sequence[FrozenTrial], shared: Collection[str]) -> list[list[FrozenTrial]]:
    """Split trials by their values of the shared parameters; those with a value from outside are left out."""
    groups = defaultdict(list)
    for trial in trials:
        groups[tuple(index_of(trial.distributions[n], trial.params[n]) for n in shared)].append(trial)
    return [group for positions, group in groups.items() if None not in positions]


def _shared(trials: Sequence[FrozenTrial], known: Collection[str]) -> dict[str, int]:
    """Return how many values the parameters have that all trials have from one and the same distribution.

    The known ones are left out, and those that come after too many combinations for so many trials.
    """
    sizes = {name: n_values(distribution) or 0 for name, distribution in trials[0].distributions.items()}
    shared: dict[str, int] = {}
    for name in sorted(sizes.keys() - known, key=lambda name: -sizes[name]):
        distribution = trials[0].distributions[name]
        if all(t.distributions.get(name) == distribution for t in trials):
            shared[name] = sizes[name]
            if math.prod(shared.values()) > len(trials):
                break
    return shared
