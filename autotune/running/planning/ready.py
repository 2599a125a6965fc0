"""A study that can run: its declaration, data and settings, compared with the stored study."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from autotune.errors import UsageError
from autotune.running.planning.learning import Learning, earlier_studies, learn, read_learning
from autotune.running.planning.preparer import Preparer, RunOptions
from autotune.running.planning.queued import LEARNING_CURVE
from autotune.running.planning.recovery import recover_lost_trials
from autotune.running.planning.stored_study import find_study, has_results, past_trials, refuse_direction
from autotune.running.storages import open_storage
from autotune.running.study import (
    StudySettings,
    StudySource,
    leave_elsewhere,
    read_settings,
    refuse,
    refuse_changes,
    refuse_elsewhere,
)
from autotune.running.tracking import Note
from autotune.running.trial import EXPECTED_OF_GIVEN, Declaration, Declare, Preparation, Prepare, refusal
from autotune.study import EVERY_STUDY


@dataclass(frozen=True)
class Known:
    """A study before its data are prepared.

    Attributes:
        storage: The storage.
        folder: The study's folder in the run dir.
        source: Its code, with the overrides of this run and of earlier runs.
        declared: Its declaration, with these overrides.
        stored: The study in the storage; None if there is none.
        before: The stored settings of earlier runs; None if there are none.
        data_dir: The folder in which datasets are looked for first; None for Keras's own cache.
    """

    storage: optuna.storages.BaseStorage
    folder: Path
    source: StudySource
    declared: Declaration
    stored: optuna.Study | None
    before: StudySettings | None
    data_dir: Path | None


@dataclass(frozen=True)
class Ready:
    """A study that may run.

    Attributes:
        known: The study before its data were prepared.
        prepared: Its prepared data.
        settings: The settings to store.
        learning: What it learns from earlier studies, if it begins now; None for nothing.
    """

    known: Known
    prepared: Preparation
    settings: StudySettings
    learning: Learning | None = None


def make_ready(
    preparer: Preparer, n_trials: int | None = None, repeats: int = 0, fractions: tuple[float, ...] = (1.0,)
) -> Ready:
    """Load a study, prepare its data, and compare it with the stored study.

    Args:
        preparer: Runs the study's code in processes.
        n_trials: The total number of finished trials; None for the stored or else the declared number.
        repeats: The number of additional splits of the data.
        fractions: The shares of the training rows, for each of these splits.

    Raises:
        UsageError: If the study, its data or its storage cannot be used, or the study differs from the stored one.
    """
    options, known = preparer.options, _look_up(preparer)
    past = past_trials(known.stored) if known.stored else []
    asked = _asked_to_learn(options, known) if not repeats else ()
    earlier = earlier_studies(known.storage, known.declared.name, asked)
    names = frozenset(name for study in earlier.values() if study for params in study.configurations for name in params)
    prepared: Preparation = preparer.ask(
        Prepare(known.source, known.data_dir, options.places.run_dir, known.folder, past, repeats, fractions, names)
    )
    for text in prepared.notes:
        options.observer(Note(None, text))
    if prepared.given_problems:
        raise refusal(prepared.given_problems, EXPECTED_OF_GIVEN)
    learning = learn(earlier, prepared.space, asked) if asked else None
    for name in (name for name, study in earlier.items() if study is None):
        options.observer(Note(None, f"nothing can be learned from {name}: no trial of it has a value"))
    if learning is not None and not learning.studies:
        options.observer(Note(None, "there is no earlier study to learn from"))
    ready = Ready(known, prepared, settings_of_run(preparer, known, prepared, n_trials), learning)
    leave_elsewhere(known.folder, ready.settings, vars(options.tracking))
    _refuse_other_study(ready)
    return ready


def _asked_to_learn(options: RunOptions, known: Known) -> Sequence[str]:
    """Return the earlier studies to learn from; none if the study has begun."""
    asked = options.learn_from or known.declared.learn_from
    if known.stored is None or not (asked and (read_learning(known.stored) or has_results(known.stored))):
        return asked
    learned = read_learning(known.stored)
    if options.learn_from and (learned is None or not {*options.learn_from} <= {EVERY_STUDY, *learned.studies}):
        options.observer(Note(None, "the study has begun before: it learns from other studies only when it begins"))
    return ()


def _look_up(preparer: Preparer) -> Known:
    """Load a study and find it in its storage, before its data: mistakes are reported before hours are spent."""
    options = preparer.options
    storage = open_storage(options.places.storage, preparer.patience)
    recover_lost_trials(storage, str(options.source.path), options.places.study_folder)
    declared: Declaration = preparer.ask(Declare(options.source))
    if declared.needs_keras:
        preparer.preload()
    stored = find_study(storage, declared.name)
    before = read_settings(stored) if stored else None
    _refuse_part(before, declared.name)
    source = _with_remembered(options, before)
    if source != options.source:
        declared = preparer.ask(Declare(source))
    folder = options.places.study_folder(declared.name)
    refuse_elsewhere(declared.name, folder, before, vars(options.tracking))
    data_dir = options.places.data_dir or (Path(before.data_dir) if before and before.data_dir else None)
    return Known(storage, folder, source, declared, stored, before, data_dir)


def _with_remembered(options: RunOptions, before: StudySettings | None) -> StudySource:
    """Add the overrides of earlier runs, where this run has none."""
    if before is None:
        return options.source
    given = {k: v for k, v in vars(options.source.overrides).items() if v is not None}
    return dataclasses.replace(options.source, overrides=dataclasses.replace(before.overrides, **given))


def _refuse_part(before: StudySettings | None, name: str) -> None:
    if before is not None and before.part_of is not None:
        raise UsageError(
            f"the study {name!r} trains configurations of {before.part_of!r} again.",
            "It cannot run as a search: the command below continues it.",
            f"autotune {'learning-curve' if name.endswith(LEARNING_CURVE) else 'finalize'} {before.part_of}",
        )


def settings_of_run(preparer: Preparer, known: Known, prepared: Preparation, n_trials: int | None) -> StudySettings:
    """Return the settings to store: the options of this run, else the stored settings, else the declaration.

    Raises:
        UsageError: If the artifact store, TensorBoard folder or MLflow URI cannot be used.
    """
    declared, before, source = known.declared, known.before, known.source
    total = n_trials or (before.n_trials if before and before.n_trials_given else None)
    declares: dict[str, Any] = {
        name: getattr(declared, name) for name in StudySettings.__dataclass_fields__ if hasattr(declared, name)
    }
    declares |= {"n_trials": total or declared.n_trials, "minimize": list(declared.minimize)}
    if before is not None:
        declares["guesses_baseline"] = before.guesses_baseline and declared.guesses_baseline
    usual = before.usual if before is not None else prepared.usual
    return StudySettings(
        **declares,
        **vars(preparer.options.tracking.of_study(before, declared.monitor)),
        study_file=str(source.path) if source.path else None,
        study_digest=before.study_digest if before else source.digest,
        n_trials_given=total is not None,
        overrides=source.overrides,
        split=prepared.rows.digest if prepared.rows else None,
        threads=before.threads if before else preparer.threads,
        data_dir=str(known.data_dir) if known.data_dir else None,
        run_dir=str(preparer.options.places.run_dir),
        token=before.token if before and before.token else uuid.uuid4().hex[:8],
        question=source.question or (before.question if before else ""),
        data=prepared.description,
        leaks=prepared.leaks,
        usual=usual if declared.guesses_usual else {},
    )


def _refuse_other_study(ready: Ready) -> None:
    """Refuse a study whose new trials could not be compared with those that are stored."""
    known, prepared = ready.known, ready.prepared
    if known.stored is None:
        return
    refuse_direction(known.stored, known.declared)
    if has_results(known.stored):
        refuse_changes(known.declared.name, known.before or ready.settings, ready.settings, prepared.space_changes)
    elif prepared.choice_changes:  # Optuna refuses these even if no trial has finished
        refuse(known.declared.name, prepared.choice_changes)
