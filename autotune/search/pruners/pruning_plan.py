"""What a pruner will do with as many trials and epochs as a study has, said before anything is trained.

What is covered: pruners that would stop nothing, and Hyperband with fewer trials than its brackets need.
What is not covered: pruners of one's own, those that wrap others, and what is decided by the first trials ("auto").
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from optuna.pruners import BasePruner, HyperbandPruner, PercentilePruner, SuccessiveHalvingPruner

from autotune.search.pruners.noise_aware import NoiseAwarePruner


def pruning_note(pruner: BasePruner, name: str, n_trials: int, epochs: int | None) -> str | None:
    """Return what to say of a study's pruner; None if there is nothing that a user would not expect.

    Args:
        pruner: The pruner.
        name: The study's name, by which Hyperband deals out its trials.
        n_trials: How many trials there are to be.
        epochs: How many epochs a trial has; None where nobody knows, or where it goes on with other folds.
    """
    title = type(pruner).__name__
    if epochs is not None and (first := _first_epoch(pruner)) is not None and first >= epochs:
        return f"{title} stops no trial before its end: it looks at epoch {first} first, and a trial has {epochs}."
    if isinstance(pruner, HyperbandPruner) and (brackets := _brackets(pruner, name, n_trials, epochs)):
        return _of_brackets(brackets, n_trials)
    if isinstance(pruner, PercentilePruner) and n_trials <= max(pruner._n_startup_trials, pruner._n_min_trials):
        least = max(pruner._n_startup_trials, pruner._n_min_trials)
        return f"{title} stops no trial: it wants {least} complete ones first, and the study has {n_trials} in all."
    if isinstance(pruner, NoiseAwarePruner) and n_trials <= pruner.peers:
        return f"{title} stops no trial: it wants {pruner.peers} others first, and the study has {n_trials} in all."
    return None


def _first_epoch(pruner: BasePruner) -> int | None:
    """Return the first epoch after which a pruner may stop a trial; None if it does not say."""
    if isinstance(pruner, NoiseAwarePruner):
        return pruner.grace_epochs
    if isinstance(pruner, PercentilePruner):
        return pruner._n_warmup_steps
    if isinstance(pruner, SuccessiveHalvingPruner) and pruner._min_resource is not None:
        return int(pruner._min_resource * pruner._reduction_factor**pruner._min_early_stopping_rate)
    if isinstance(pruner, HyperbandPruner):
        return pruner._min_resource
    return None


def _brackets(pruner: HyperbandPruner, name: str, n_trials: int, epochs: int | None) -> list[tuple[int, int, int]]:
    """Return each bracket's first rung, the trials that it needs, and those that it gets; none if that is not known."""
    most = pruner._max_resource if isinstance(pruner._max_resource, int) else epochs
    if most is None or most < pruner._min_resource:
        return []
    planned: Any = HyperbandPruner(pruner._min_resource, most, pruner._reduction_factor)
    planned._try_initialization(None)  # which looks at the study for "auto" only
    gets = [0] * planned._n_brackets
    for number in range(n_trials):
        gets[planned._get_bracket_id(SimpleNamespace(study_name=name), SimpleNamespace(number=number))] += 1
    rungs = [pruner._min_resource * pruner._reduction_factor**bracket for bracket in range(planned._n_brackets)]
    return list(zip(rungs, planned._trial_allocation_budgets, gets, strict=True))


def _of_brackets(brackets: list[tuple[int, int, int]], n_trials: int) -> str | None:
    needs = sum(need for _, need, _ in brackets)
    if n_trials >= needs:
        return None
    plan = "; ".join(f"after epoch {rung} {get} trials of {need}" for rung, need, get in brackets)
    return (
        f"Hyperband has {len(brackets)} brackets, which need {needs} trials, and the study has {n_trials}. By the "
        f"epoch after which a bracket first stops trials: {plan}. Give it more trials or a larger min_resource, or "
        "take SuccessiveHalvingPruner, which is one bracket."
    )
