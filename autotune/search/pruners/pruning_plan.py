"""Warnings, before the first trial, about a pruner that does not fit the numbers of trials and epochs.

What is covered: pruners that would stop no trial, and Hyperband with fewer trials than its brackets need.
What is not covered: a user's own pruners, pruners that wrap others, and settings that depend on the first trials
("auto").
"""

from __future__ import annotations

from optuna.pruners import BasePruner, HyperbandPruner, PercentilePruner

from autotune.search.pruners.noise_aware import NoiseAwarePruner
from autotune.search.pruners.optuna_settings import brackets, first_step, settings_of


def pruning_note(pruner: BasePruner, name: str, n_trials: int, epochs: int | None) -> str | None:
    """Return a warning about a study's pruner; None if the pruner fits.

    Args:
        pruner: The pruner.
        name: The study's name, by which Hyperband assigns trials to brackets.
        n_trials: The number of trials of the study.
        epochs: The number of epochs of a trial; None if it is unknown, or if the trial has several folds.
    """
    title = type(pruner).__name__
    first = pruner.grace_epochs if isinstance(pruner, NoiseAwarePruner) else first_step(pruner)
    if epochs is not None and first is not None and first >= epochs:
        return f"{title} stops no trial before its end: it looks at epoch {first} first, and a trial has {epochs}."
    if isinstance(pruner, HyperbandPruner) and (plan := brackets(pruner, name, n_trials, epochs)):
        return _of_brackets(plan, n_trials)
    if isinstance(pruner, PercentilePruner) and n_trials <= (least := _n_complete_needed(pruner)):
        return f"{title} stops no trial: it needs {least} complete ones first, and the study has {n_trials} in all."
    if isinstance(pruner, NoiseAwarePruner) and n_trials <= pruner.peers:
        return f"{title} stops no trial: it needs {pruner.peers} others first, and the study has {n_trials} in all."
    return None


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


def _n_complete_needed(pruner: PercentilePruner) -> int:
    settings = settings_of(pruner)
    return max(settings.n_startup_trials, settings.n_min_trials)
