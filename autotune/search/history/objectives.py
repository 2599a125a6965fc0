"""Studies with one objective or several: the first is the metric, the others are costs of the network.

Optuna refuses reports and pruning in a study with several objectives, although its learning curves are of one metric.
Here trials of such a study report, are pruned and are ranked by their first objective; samplers see all objectives.

What is covered: every pruner that reads the study it is given.
What is not covered: pruners that use the costs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autotune.optuna_inside import id_of, stored
from autotune.search.history.storage_view import MappedTrials, StorageView

COPY_OF = "copy_of"
"""The user attribute of a trial whose results were copied from another trial with the same configuration."""

LEARNED_FROM = "learned_from"
"""The user attribute of a trial whose configuration comes from an earlier study: its `Origin`."""

GUESS = "guess"
"""The user attribute of a trial that tries a guess of the study file: the guess."""


def first_value(trial: FrozenTrial) -> float | None:
    """Return a trial's first value; None if it has none."""
    return trial.values[0] if trial.values else None


def direction_sign(study: optuna.Study) -> int:
    """Return 1 if a larger first value is better, and -1 if a smaller one is."""
    return 1 if study.directions[0] == StudyDirection.MAXIMIZE else -1


def best_complete(study: optuna.Study) -> list[FrozenTrial]:
    """Return the complete trials; with several objectives only those on the Pareto front."""
    if len(study.directions) > 1:
        return [trial for trial in study.best_trials if COPY_OF not in trial.user_attrs]  # a copy adds nothing
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def best_first(study: optuna.Study, trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Sort complete trials by their first values, the best first; trials with equal values keep their order."""
    sign = direction_sign(study)
    return sorted(trials, key=lambda trial: -sign * (first_value(trial) or 0.0))


def report(trial: optuna.Trial, value: float, step: int) -> None:
    """Report like `trial.report`, with any number of objectives."""
    if len(trial.study.directions) == 1:
        trial.report(value, step)
    elif step not in stored(trial).intermediate_values:
        trial.storage.set_trial_intermediate_value(id_of(trial), step, float(value))


def should_prune(trial: optuna.Trial) -> bool:
    """Decide like `trial.should_prune`, by the first objective if there are several."""
    if len(trial.study.directions) == 1:
        return trial.should_prune()
    shown = by_first_objective(trial.study)
    return trial.study.pruner.prune(shown, stored(trial))


def by_first_objective(study: optuna.Study) -> optuna.Study:
    """Return a view of a study with several objectives that shows only the first."""
    view = StorageView(study, MappedTrials(study, _with_first_value), directions=study.directions[:1])
    return optuna.Study(study.study_name, view, sampler=study.sampler, pruner=study.pruner)


def _with_first_value(trial: FrozenTrial) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.values = trial.values[:1] if trial.values else None
    return shown
