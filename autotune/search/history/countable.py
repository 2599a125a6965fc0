"""Distributions whose choices are lists or dicts, with text as choices instead: lists and dicts have no hash."""

from __future__ import annotations

import copy

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial


def countable(distribution: BaseDistribution) -> BaseDistribution:
    """Return a distribution whose choices all have a hash; the same object if they already do."""
    if not isinstance(distribution, CategoricalDistribution):
        return distribution
    if not any(isinstance(choice, (list, tuple, dict)) for choice in distribution.choices):
        return distribution
    return CategoricalDistribution([f"{place}: {choice}" for place, choice in enumerate(distribution.choices)])


def countable_trial(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial with countable distributions and matching parameters; the same object if it already has them."""
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
