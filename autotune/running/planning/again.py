"""The plans that train configurations of a study again: in a second study, or a single trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import filelock
from optuna.pruners import NopPruner
from optuna.trial import FrozenTrial

from autotune.running.planning.plan import Plan
from autotune.running.planning.preparer import Preparer
from autotune.running.planning.queued import NothingToSuggest, Queue, assignment_of, key_of
from autotune.running.planning.ready import Ready, make_ready
from autotune.running.planning.stored_study import find_study, open_study
from autotune.running.study import StudySettings, StudySource, leave_elsewhere, leave_token, write_settings
from autotune.running.trial import Assignment, Declaration


def plan_queue(
    preparer: Preparer,
    repeats: int,
    queue_of: Callable[[Declaration], Queue],
    fractions: tuple[float, ...] = (1.0,),
) -> Plan:
    """Return the plan of a second study, which trains configurations of the study again.

    Args:
        preparer: Runs the study's code in processes.
        repeats: The number of seeds.
        queue_of: The function from the study to the trials of the second study. A second study that was started before
            keeps its trials.
        fractions: The shares of the training rows.

    Raises:
        UsageError: As `plan_search` does.
    """
    ready = make_ready(preparer, repeats=repeats, fractions=fractions)
    queue = queue_of(ready.known.declared)
    folder = preparer.options.places.study_folder(queue.name)
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / "queue.lock"):  # two commands queue the same trials
        if begun := find_study(ready.known.storage, queue.name):
            queue = queue.as_begun(begun)
        beside = _beside(ready, queue)
        study = open_study(beside.known.storage, beside.known.declared)
        write_settings(study, beside.settings)
        leave_token(folder, beside.settings.token)
        leave_elsewhere(folder, beside.settings, {"artifacts": beside.settings.artifacts})  # as checked for the search
        queue.fill(study)
    needed = {(trial.repeat, trial.fraction) for trial in queue.trials}
    if (
        ready.prepared.rows and not needed <= ready.prepared.repeats.keys()
    ):  # it was started with other repeats or fractions
        repeats, fractions = 1 + max(needed)[0], tuple({fraction for _, fraction in needed})
        return plan_queue(preparer, repeats, queue_of, fractions)
    return Plan(
        study=study,
        storage=beside.known.storage,
        folder=folder,
        source=beside.known.source.without_dataset(),
        declared=beside.known.declared,
        rows=beside.prepared.rows,
        settings=beside.settings,
        budget=beside.known.declared.budget(None),
        assign=lambda trial: assignment_of(trial.user_attrs, beside.prepared),
        queued=queue.trials,
    )


def _beside(ready: Ready, queue: Queue) -> Ready:
    """Return the second study, made from the study that its configurations come from."""
    known, n_trials = ready.known, len(queue.trials)
    overrides = dataclasses.replace(known.source.overrides, name=queue.name)
    declared = dataclasses.replace(
        known.declared,
        name=queue.name,
        sampler=NothingToSuggest,
        pruner=NopPruner(),
        n_trials=n_trials,
        stop=None,
        keep_models=n_trials if any(trial.refit for trial in queue.trials) else 0,
        max_failures_in_a_row=n_trials + 1,
    )
    return Ready(
        dataclasses.replace(known, source=dataclasses.replace(known.source, overrides=overrides), declared=declared),
        ready.prepared,
        dataclasses.replace(ready.settings, n_trials=n_trials, overrides=overrides, part_of=known.declared.name),
    )


def plan_replay(preparer: Preparer, trial: FrozenTrial, repeats: int) -> tuple[StudySource, Assignment, StudySettings]:
    """Return how a stored trial was trained: its code, its rows, and the settings of its study.

    Args:
        preparer: Runs the study's code in processes.
        trial: A trial of the study, or a queued trial of its second study.
        repeats: The number of seeds of the second study; 0 for a trial of the search.

    Raises:
        UsageError: As `plan_search` does.
    """
    ready = make_ready(preparer, repeats=repeats, fractions=(key_of(trial).fraction,))
    place = ("trial", trial.number)
    assignment = assignment_of(trial.user_attrs, ready.prepared) if repeats else Assignment(ready.prepared.rows, place)
    return ready.known.source.without_dataset(), assignment, ready.settings
