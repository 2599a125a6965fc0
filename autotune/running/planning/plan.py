"""What a run is going to do: a study that is ready, opened in its storage, with its trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from autotune.data import Holdout
from autotune.running.planning.preparer import Preparer
from autotune.running.planning.queued import QueuedTrial
from autotune.running.planning.ready import make_ready
from autotune.running.planning.stored_study import forget_refused, forget_unbegun, known_space, open_study, remember
from autotune.running.study import FINISHED, Budget, KnownSpace, StudySettings, StudySource, leave_token
from autotune.running.tracking import Note
from autotune.running.trial import Assignment, Declaration, Rows
from autotune.search.pruners import pruning_note


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Plan:
    """A study that is ready to run.

    Attributes:
        study: The Optuna study, with its sampler and pruner.
        storage: Its storage.
        folder: Its folder in the run dir.
        source: Its code, as overridden in this run and earlier ones.
        declared: What the study file says, as overridden.
        rows: Where its data are; None for a plain objective.
        settings: What it remembers.
        budget: Which trials it is to have.
        assign: From a trial to what it trains on.
        known_space: What the search space may not differ from; None for anything goes, unless a plain objective was
            edited: it may also vary a range from trial to trial.
        queued: The trials that it consists of, where these are known beforehand; none for a search.
        forget: Undoes what this run did to the study, if it is refused as its first trials show another space.
    """

    study: optuna.Study
    storage: optuna.storages.BaseStorage
    folder: Path
    source: StudySource
    declared: Declaration
    rows: Rows | None
    settings: StudySettings
    budget: Budget
    assign: Callable[[optuna.Trial | FrozenTrial], Assignment]
    known_space: KnownSpace | None = None
    queued: Sequence[QueuedTrial] = ()
    forget: Callable[[], None] = _nothing


def plan_search(preparer: Preparer, n_trials: int | None) -> Plan:
    """Make a study ready, and open it in its storage.

    Args:
        preparer: Has its code run.
        n_trials: The total of finished trials that is asked for; None for what the study remembers or declares.

    Raises:
        UsageError: If the study, its data or its storage cannot be used, or the study is not what it was.
    """
    ready = make_ready(preparer, n_trials)
    known, declared, rows = ready.known, ready.known.declared, ready.prepared.rows
    study = open_study(known.storage, declared)
    settings = remember(study, known.folder, ready.settings, known.before)
    n_finished = len(study.get_trials(deepcopy=False, states=FINISHED))
    if known.before is None or not n_finished:
        for params in declared.enqueue:  # which may have been corrected since
            study.enqueue_trial(dict(params), skip_if_exists=True)
    leave_token(known.folder, settings.token)
    if note := _pruning_note(declared, settings.n_trials):
        preparer.options.observer(Note(None, note))
    forget: Callable[[], None] = _nothing
    if known.stored is None:
        forget = partial(forget_unbegun, study)
    elif known.before is not None:
        forget = partial(forget_refused, study, known.before, len(study.get_trials(deepcopy=False)))
    is_edited = known.before is not None and known.before.study_digest not in ("", known.source.digest)
    return Plan(
        study=study,
        storage=known.storage,
        folder=known.folder,
        source=known.source.without_dataset(),
        declared=declared,
        rows=rows,
        settings=settings,
        budget=declared.budget(settings.n_trials),
        assign=lambda trial: Assignment(rows, ("trial", trial.number)),
        known_space=known_space(known.stored) if known.stored and is_edited and not rows else None,
        forget=forget,
    )


def _pruning_note(declared: Declaration, n_trials: int) -> str | None:
    """Return what to say of a pruner that the study file names; None if there is nothing."""
    if declared.pruner is None:
        return None
    has_folds = not isinstance(declared.folds, Holdout)  # after the first of which a pruner may still save the others
    return pruning_note(declared.pruner, declared.name, n_trials, None if has_folds else declared.epochs)
