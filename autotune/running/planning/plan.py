"""The plan of a run: a study that may run, opened in its storage, and the trials that it will have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from autotune.running.planning.learning import Learning, begin_learning, read_learning
from autotune.running.planning.preparer import Preparer
from autotune.running.planning.queued import QueuedTrial
from autotune.running.planning.ready import make_ready
from autotune.running.planning.stored_study import (
    forget_refused,
    forget_unbegun,
    known_space,
    open_study,
    remember,
    seeded,
)
from autotune.running.study import FINISHED, Budget, KnownSpace, StudySettings, StudySource, leave_token
from autotune.running.tracking import Note, Observer, ignore
from autotune.running.trial import Assignment, Declaration, Rows
from autotune.search.history import GUESS
from autotune.search.pruners import pruning_note
from autotune.search.samplers import SeededSampler
from autotune.search.transfer import Guess, guess_of
from autotune.seeds import derive_seed


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Plan:
    """A study that is ready to run.

    Attributes:
        study: The Optuna study, with its sampler and pruner.
        storage: Its storage.
        folder: Its folder in the run dir.
        source: Its code, with the overrides of this run and of earlier runs.
        declared: Its declaration, with these overrides.
        rows: Its rows on disk; None for a plain objective.
        settings: Its stored settings.
        budget: The number of trials.
        assign: The function from a trial to the rows that it trains on.
        known_space: The search space that trials must keep to, for a plain objective whose code has changed; otherwise
            None.
        queued: Its trials, if they are known before the run; empty for a search.
        forget: Undoes the changes of this run to the study. It is called if the first trials show another search space.
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
    """Return the plan of a search.

    Args:
        preparer: Runs the study's code in processes.
        n_trials: The total number of finished trials; None for the stored or else the declared number.

    Raises:
        UsageError: If the study, its data or its storage cannot be used, or the study differs from the stored one.
    """
    ready = make_ready(preparer, n_trials)
    known, declared, rows = ready.known, ready.known.declared, ready.prepared.rows
    study = open_study(known.storage, declared)
    settings = remember(study, known.folder, ready.settings, known.before)
    guesses = _guesses(declared, settings)
    n_finished = len(study.get_trials(deepcopy=False, states=FINISHED))
    begins = known.before is None or not n_finished
    for params in declared.enqueue if begins else ():  # again: the study file may have been corrected
        study.enqueue_trial(dict(params), skip_if_exists=True)
    if n_finished < settings.n_trials:
        _enqueue_guesses(study, guesses, preparer.options.observer if declared.guesses else ignore)
    if begins:
        begin_learning(study, known.folder, _learnable(study, ready.learning, preparer.options.observer))
    learning, seed = read_learning(study), declared.seed
    if learning is not None and learning.origins:
        # An earlier study with the same seed would have had the same first suggestions.
        seed = derive_seed(declared.seed, "learned")
    study.sampler = seeded(declared, seed, guesses)
    leave_token(known.folder, settings.token)
    n_folds = rows.design.n_folds if rows else 1
    if note := _pruning_note(declared, settings.n_trials, n_folds):
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


def _guesses(declared: Declaration, settings: StudySettings) -> Sequence[Guess]:
    baseline = declared.baseline if settings.guesses_baseline else None
    return [
        *declared.guesses,
        *(one for one in (baseline, settings.usual) if one and one not in declared.guesses),
    ]


def _enqueue_guesses(study: optuna.Study, guesses: Sequence[Guess], observer: Observer) -> None:
    """Make a trial for each guess that has none yet, also for one that was added after the study had begun."""
    if guesses and isinstance(study.sampler, SeededSampler) and study.sampler.tries_all:
        observer(Note(None, "the sampler tries every configuration anyway, so guesses change nothing"))
        return
    there = [guess_of(trial) for trial in study.get_trials(deepcopy=False)] if guesses else []
    for guess in guesses:
        if guess not in there:
            there.append(guess)
            study.enqueue_trial({}, user_attrs={GUESS: dict(guess)})


def _learnable(study: optuna.Study, learning: Learning | None, observer: Observer) -> Learning | None:
    """Return what a study can learn with its sampler."""
    if learning is None or not (isinstance(study.sampler, SeededSampler) and study.sampler.tries_all):
        return learning
    observer(Note(None, "the sampler tries every configuration anyway, so the study learns nothing from earlier ones"))
    return Learning(learning.studies, [])


def _pruning_note(declared: Declaration, n_trials: int, n_folds: int) -> str | None:
    """Return a remark on the pruner of the study file; None if there is nothing to say."""
    if declared.pruner is None:
        return None
    epochs = declared.epochs if n_folds == 1 else None  # a pruner may skip the folds after the first
    return pruning_note(declared.pruner, declared.name, n_trials, epochs)
