"""Choices that are lists or dicts, as text: for whoever counts values by their hash, which these have not."""

from __future__ import annotations

import copy

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial


def countable(distribution: BaseDistribution) -> BaseDistribution:
    """Return a distribution whose choices all have a hash; itself if they have one."""
    if not isinstance(distribution, CategoricalDistribution):
        return distribution
    if not any(isinstance(choice, (list, tuple, dict)) for choice in distribution.choices):
        return distribution
    return CategoricalDistribution([f"{place}: {choice}" for place, choice in enumerate(distribution.choices)])


def countable_trial(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial with countable distributions, and its parameters as values of these; itself if it has such."""
    changed = {
        name: shown
        for name, distribution in trial.distributions.items()
        if (shown := countable(distribution)) is not distribution
    }
    if not changed:
        return trial
    values = {
        name: shown.to_external_repr(trial.distributions[name].to_internal_repr(trial.params[name]))
        for name, shown in changed.items()
    }
    shown_trial = copy.copy(trial)
    shown_trial.distributions = {**trial.distributions, **changed}
    shown_trial.params = {**trial.params, **values}
    return shown_trial
