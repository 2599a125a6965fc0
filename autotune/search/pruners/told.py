"""What Optuna's pruners were told when they were made, and keep to themselves."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from optuna.pruners import BasePruner, HyperbandPruner, PercentilePruner, SuccessiveHalvingPruner


@dataclass(frozen=True)
class Told:
    """The arguments of a `PercentilePruner`; of a `MedianPruner`, whose percentile is 50, too."""

    percentile: float
    n_startup_trials: int
    n_warmup_steps: int
    interval_steps: int
    n_min_trials: int


def told(pruner: PercentilePruner) -> Told:
    """Return what a pruner was told."""
    return Told(
        pruner._percentile,
        pruner._n_startup_trials,
        pruner._n_warmup_steps,
        pruner._interval_steps,
        pruner._n_min_trials,
    )


def first_step(pruner: BasePruner) -> int | None:
    """Return the first step after which a pruner of Optuna's may stop a trial; None if it does not say."""
    if isinstance(pruner, PercentilePruner):
        return told(pruner).n_warmup_steps
    if isinstance(pruner, SuccessiveHalvingPruner) and pruner._min_resource is not None:
        return int(pruner._min_resource * pruner._reduction_factor**pruner._min_early_stopping_rate)
    if isinstance(pruner, HyperbandPruner):
        return pruner._min_resource
    return None


def brackets(pruner: HyperbandPruner, name: str, n_trials: int, steps: int | None) -> list[tuple[int, int, int]]:
    """Return each bracket's first rung, the trials that it needs, and those that it gets; none if that is not known.

    Args:
        pruner: The pruner.
        name: The name of the study, by which its trials are dealt out.
        n_trials: How many trials there are to be.
        steps: The steps of a trial, for a pruner that finds them out; None where nobody knows.
    """
    most = pruner._max_resource if isinstance(pruner._max_resource, int) else steps
    if most is None or most < pruner._min_resource:
        return []
    planned: Any = HyperbandPruner(pruner._min_resource, most, pruner._reduction_factor)
    planned._try_initialization(None)  # which looks at the study for "auto" only
    gets = [0] * planned._n_brackets
    for number in range(n_trials):
        gets[planned._get_bracket_id(SimpleNamespace(study_name=name), SimpleNamespace(number=number))] += 1
    rungs = [pruner._min_resource * pruner._reduction_factor**bracket for bracket in range(planned._n_brackets)]
    return list(zip(rungs, planned._trial_allocation_budgets, gets, strict=True))
