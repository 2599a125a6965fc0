"""The settings of Optuna's pruners, read from their private attributes."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from optuna.pruners import BasePruner, HyperbandPruner, PercentilePruner, SuccessiveHalvingPruner


@dataclass(frozen=True)
class PercentileSettings:
    """The arguments of a `PercentilePruner`, or of a `MedianPruner`, whose percentile is 50."""

    percentile: float
    n_startup_trials: int
    n_warmup_steps: int
    interval_steps: int
    n_min_trials: int


def settings_of(pruner: PercentilePruner) -> PercentileSettings:
    """Return the arguments that a pruner was made with."""
    return PercentileSettings(
        pruner._percentile,
        pruner._n_startup_trials,
        pruner._n_warmup_steps,
        pruner._interval_steps,
        pruner._n_min_trials,
    )


def first_step(pruner: BasePruner) -> int | None:
    """Return the first step after which one of Optuna's pruners may stop a trial; None if it is unknown."""
    if isinstance(pruner, PercentilePruner):
        return settings_of(pruner).n_warmup_steps
    if isinstance(pruner, SuccessiveHalvingPruner) and pruner._min_resource is not None:
        return int(pruner._min_resource * pruner._reduction_factor**pruner._min_early_stopping_rate)
    if isinstance(pruner, HyperbandPruner):
        return pruner._min_resource
    return None


def brackets(pruner: HyperbandPruner, name: str, n_trials: int, steps: int | None) -> list[tuple[int, int, int]]:
    """Return for each bracket its first rung, and the numbers of trials that it needs and gets; empty if unknown.

    Args:
        pruner: The pruner.
        name: The study's name, by which Hyperband assigns trials to brackets.
        n_trials: The number of trials of the study.
        steps: The number of steps of a trial, for a pruner with "auto"; None if it is unknown.
    """
    most = pruner._max_resource if isinstance(pruner._max_resource, int) else steps
    if most is None or most < pruner._min_resource:
        return []
    planned: Any = HyperbandPruner(pruner._min_resource, most, pruner._reduction_factor)
    planned._try_initialization(None)  # it needs the study for "auto" only
    gets = [0] * planned._n_brackets
    for number in range(n_trials):
        gets[planned._get_bracket_id(SimpleNamespace(study_name=name), SimpleNamespace(number=number))] += 1
    rungs = [pruner._min_resource * pruner._reduction_factor**bracket for bracket in range(planned._n_brackets)]
    return list(zip(rungs, planned._trial_allocation_budgets, gets, strict=True))
