"""Samplers whose suggestions depend on the stored trials and the study's seed, and on nothing else.

What is covered: a search that is stopped anywhere, even between two parameters of one trial, suggests after it goes
on what it would have suggested without the stop.
What is not covered: several slots finish trials in an order of their own, so that with more than one slot the
stored trials differ from run to run, and with them the suggestions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import GridSampler, QMCSampler
from optuna.trial import FrozenTrial, TrialState

from autotune.seeds import derive_seed


def tpe(seed: int) -> optuna.samplers.TPESampler:
    """Return Optuna's TPE with everything said that its versions decide differently."""
    return optuna.samplers.TPESampler(
        seed=seed,
        multivariate=True,
        group=True,  # conditional parameters are modelled in the groups they occur in
        constant_liar=True,  # slots that run at the same time stay away from each other
        n_startup_trials=10,
    )


class SeededSampler(optuna.samplers.BaseSampler):
    """Ask a fresh sampler, seeded by (study seed, trial, parameter), for every suggestion.

    A sampler that lives as long as the process would replay its first random points after a restart, and would give
    the second half of an interrupted trial's parameters other random numbers than the uninterrupted trial has.

    Args:
        factory: A function from a seed to a sampler.
        seed: The study's seed.
    """

    def __init__(self, factory: Callable[[int], optuna.samplers.BaseSampler], seed: int) -> None:
        self._factory = factory
        self._seed = seed

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._fresh(trial, "space").infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        sampler = self._fresh(trial, "relative")
        # Some samplers (TPE with groups) find in the first call what they need in the second.
        sampler.infer_relative_search_space(study, trial)
        return sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        sampler = self._fresh(trial, f"parameter {param_name}")
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._fresh(trial, "before").before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        try:
            self._fresh(trial, "after").after_trial(study, trial, state, values)
        except RuntimeError as error:
            # Samplers that have searched everything stop the study, which Optuna refuses outside `study.optimize`.
            if "Study.stop" not in str(error):
                raise

    def _fresh(self, trial: FrozenTrial, use: str) -> optuna.samplers.BaseSampler:
        sampler = self._factory(derive_seed(self._seed, "trial", trial.number, use))
        if isinstance(sampler, GridSampler) or (isinstance(sampler, QMCSampler) and use == "relative"):
            # One plan of points for the whole study, and the seed decides their order.
            return self._factory(derive_seed(self._seed, "plan"))
        return sampler
