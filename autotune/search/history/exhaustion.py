"""The configurations that have been tried, and whether any are left.

The search space is known only from its trials: a study file suggests parameters as it runs, and the next parameter may
depend on the values so far. The assumption here is that the values so far decide which parameter comes next, and its
distribution. The order of a trial's parameters is not needed, because gRPC storages lose it.

What is covered: conditional spaces, distributions that depend on other parameters, trials that failed before they had
all their parameters (these would have failed with any value of the missing ones).
What is not covered: spaces that change from trial to trial; such a space is never reported as exhausted.
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
"""The reasons of failure (user attribute "failure") that depend on the configuration, so that a retry fails too."""


def tried(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials whose configurations need not be tried again."""
    return [t for t in trials if t.params and _is_tried(t)]


def is_endless(trials: Sequence[FrozenTrial]) -> bool:
    """Tell whether the space is infinite because of a parameter that all trials have.

    This is a fast check, and enough for most searches.
    """
    if not trials:
        return False
    endless = [name for name, distribution in trials[-1].distributions.items() if n_values(distribution) is None]
    return any(all(name in t.distributions for t in trials) for name in endless)


def is_exhausted(trials: Sequence[FrozenTrial]) -> bool:
    """Tell whether every configuration of the space has been tried.

    Args:
        trials: The trials that count as tried. A trial without parameters gives no information about the space.
    """
    return all_tried(trials, {})


def n_untried(trials: Sequence[FrozenTrial]) -> float:
    """Return a lower bound of the number of untried configurations; infinity if it is infinite or unknown.

    Args:
        trials: The trials that count as tried.
    """
    return _n_uncovered(_longer(trials, ()), ()) if any(t.params for t in trials) else math.inf


def all_tried(trials: Sequence[FrozenTrial], params: Mapping[str, Any]) -> bool:
    """Tell whether every configuration with these values has been tried.

    Args:
        trials: The trials that count as tried.
        params: Values of any parameters; a parameter that these configurations do not have is ignored.
    """
    group = below(trials, params)
    return bool(group) and _is_covered(group, params.keys())


def below(trials: Iterable[FrozenTrial], params: Mapping[str, Any]) -> list[FrozenTrial]:
    """Return the trials that have these values, or do not have these parameters.

    Trials without further parameters are left out if other trials have some: they failed early, and the next trial may
    not fail there.
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
    """Draw, with equal probability, one of the values of a parameter that still have untried configurations.

    Args:
        trials: The trials that count as tried.
        params: The values of the parameters that were suggested before.
        name: The parameter.
        distribution: Its distribution.
        rng: The random generator.

    Returns:
        The value's index, for `value_at`; None if there is no such value, or the values are infinite.
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

    Trials without parameters have no twins, because they may have had different values.
    """
    names = params.keys()
    for trial in trials:
        if names and trial.params.keys() == names and _agrees(trial, params):
            return trial
    return None


def has_more(trials: Iterable[FrozenTrial], params: Mapping[str, Any]) -> bool:
    """Tell whether a trial has these values and further parameters, so that `params` is not a whole configuration."""
    return any(trial.params.keys() > params.keys() and _agrees(trial, params) for trial in trials)


def is_countable(trial: FrozenTrial) -> bool:
    """Tell whether all of a trial's parameters have a finite number of values."""
    return all(n_values(distribution) is not None for distribution in trial.distributions.values())


def rough_key(params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> Hashable:
    """Return a key that is equal for configurations that `twin` treats as equal, and different for most others."""
    return tuple(sorted((name, _rough(value, distributions[name])) for name, value in params.items()))


def _rough(value: Any, distribution: BaseDistribution) -> int:
    """Return the hash of a value; 0 if the value has no hash, or if equal values may differ by rounding."""
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
    for name, value in params.items():  # a generator in `all` takes twice as long
        if name in values and not is_same(distributions[name], values[name], value):
            return False
    return True


def _longer(trials: Iterable[FrozenTrial], known: Collection[str]) -> list[FrozenTrial]:
    return [t for t in trials if any(name not in known for name in t.params)]


def _is_covered(trials: Sequence[FrozenTrial], known: Collection[str]) -> bool:
    """Tell whether trials with equal values of the known parameters are all configurations with these values.

    The trials are split by all other parameters that every one of them has, with the same distribution. If each
    combination of values occurs, and is covered itself, then the whole is covered. Proof by induction: each parameter
    of any configuration was also suggested, with the same value, in one of these trials.
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
    """Count the untried configurations; a combination of values without any trial counts as one."""
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
    """Split trials by their values of the shared parameters; trials with a value outside its range are left out."""
    groups = defaultdict(list)
    for trial in trials:
        groups[tuple(index_of(trial.distributions[n], trial.params[n]) for n in shared)].append(trial)
    return [group for positions, group in groups.items() if None not in positions]


def _shared(trials: Sequence[FrozenTrial], known: Collection[str]) -> dict[str, int]:
    """Return the number of values of each parameter that all trials have, with the same distribution.

    Known parameters are left out. The search for more stops when there are more combinations than trials.
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
