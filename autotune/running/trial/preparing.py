"""The task of a process that stores and splits the data before the first trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from autotune.data.rows import Dataset, refuse_no_numbers
from autotune.data.splits import (
    Fold,
    Folds,
    design_of,
    is_in_time,
    known_leaks,
    redrawn,
    split,
    split_digest,
    train_on_part,
    with_given_rows,
)
from autotune.data.stored import as_stored, store, store_folds
from autotune.errors import StudyFileError
from autotune.running.study import StudySource, objects_of
from autotune.running.trial.answering import Replay
from autotune.running.trial.declaration import send_result
from autotune.running.trial.doubts import doubts_about
from autotune.running.trial.given_configurations import configurations
from autotune.running.trial.noting_trial import NotingTrial
from autotune.running.trial.rows import Rows, load_data
from autotune.running.trial.search_space import (
    CheckedGiven,
    Distributions,
    PastTrial,
    check_given,
    choice_changes,
    replayed,
    space_changes,
    space_with,
)
from autotune.seeds import derive_seed
from autotune.study import StudySpec


@dataclass(frozen=True)
class Preparation:
    """The result of preparing a study.

    Attributes:
        rows: The stored rows and folds; None for a plain objective.
        space_changes: How the search space differs from that of the finished trials, one line per parameter.
        choice_changes: How the choices of categorical parameters differ from those of stored trials, one line each.
        given_problems: The problems of the study file's `baseline` and `enqueue`, one line each.
        repeats: From a repeat's number and a fraction of the training rows to the rows with a new split.
        whole: All rows, for training only; None for a plain objective, or if there are no repeats.
        description: A text that describes the data and their split; empty for a plain objective.
        notes: Notes for the user about the data, one or two sentences each.
        leaks: A warning about validation rows that are also training rows; empty if there are none, or with repeats.
        space: The search space, if it was asked for; None for a plain objective.
        usual: The usual values of `autotune.spaces`, by name, to guess in a new study; empty for no such guess, and for
            a plain objective.
    """

    rows: Rows | None
    space_changes: list[str]
    choice_changes: list[str]
    given_problems: list[str]
    repeats: Mapping[tuple[int, float], Rows] = field(default_factory=dict)
    whole: Rows | None = None
    description: str = ""
    notes: tuple[str, ...] = ()
    leaks: str = ""
    space: Distributions | None = None
    usual: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepare:
    """Task: store and split the data, compare the search space with that of stored trials, send a `Preparation`.

    Attributes:
        source: The study.
        data_dir: The folder in which named datasets are looked for first.
        run_dir: The folder in which data are stored.
        study_folder: The folder in which folds are stored.
        past: The stored trials whose search space is compared.
        repeats: The number of additional splits, each with its own seed.
        fractions: The fractions of the training rows for which each additional split is made.
        names: Hyperparameters of earlier studies, for which the search space is asked; empty if it is not.
    """

    source: StudySource
    data_dir: Path | None
    run_dir: Path
    study_folder: Path
    past: list[PastTrial]
    repeats: int = 0
    fractions: tuple[float, ...] = (1.0,)
    names: frozenset[str] = frozenset()

    def __call__(self, connection: Connection) -> None:
        send_result(connection, self._prepare, self.run_dir)

    def _prepare(self) -> Preparation:
        spec = self.source.load()
        if spec.objective is not None:
            return Preparation(None, [], [], [])
        declared, data, folds = declared_rows(spec, self.data_dir)
        notes = doubts_about(spec, data) if not self.repeats else []
        stored = store(data, self.run_dir / "datasets", notes.append)
        if data.version is not None:  # its content was not compared with the stored rows
            data = as_stored(data, stored)

        def rows_of_folds(folds: tuple[Fold, ...]) -> Rows:
            digest = split_digest(data, folds)
            path = self.study_folder / f"folds-{digest[:12]}.npz"
            rows = Rows(stored, path, digest, design_of(declared, folds), self.data_dir)
            store_folds(folds, rows.folds, notes.append)
            return rows

        rows = rows_of_folds(folds)
        answers = replayed(spec, data.subset(folds[0].train), self.past)
        has_results = any(trial.is_finished for trial in self.past)
        given = CheckedGiven([], False)
        if self.repeats or not has_results:
            given = check_given(spec, data.subset(folds[0].train))
        usual: dict[str, Any] = {}
        if not (has_results or self.repeats or given.problems):
            notes += filter(None, [rehearsed(spec, data.subset(folds[0].train), self.run_dir, usual)])
        changes = space_changes(answers), choice_changes(answers), given.problems
        seeds = [derive_seed(spec.seed, "repeat", repeat) for repeat in range(self.repeats)]
        again = [split(redrawn(declared), data, seed, 1 + n, self.repeats) for n, seed in enumerate(seeds)]
        anew = {
            (repeat, fraction): rows_of_folds(train_on_part(declared, again[repeat], fraction, data, seed))
            for repeat, seed in enumerate(seeds)
            for fraction in self.fractions
        }
        everything = Fold(np.arange(len(data)), np.arange(0))
        whole = rows_of_folds((everything,)) if self.repeats else None
        described = described_rows(spec, data)
        is_unknown = self.repeats or data.is_read_each_time  # reading all rows may take as long as to train on them
        leaks = "" if is_unknown else self._leaks(declared, data, folds, spec.seed, rows)
        notes += [leaks] if leaks else []
        space = space_with(spec, data.subset(folds[0].train), self.names) if self.names else None
        return Preparation(
            rows,
            *changes,
            repeats=anew,
            whole=whole,
            description=described,
            notes=tuple(notes),
            leaks=leaks,
            space=space,
            usual={} if given.has_usual or spec.guess is None else usual,
        )

    def _leaks(self, declared: Folds, data: Dataset, folds: tuple[Fold, ...], seed: int, rows: Rows) -> str:
        found = known_leaks(data, folds, seed, rows.folds.with_suffix(".leaks.json"))
        if is_in_time(declared):
            found.refuse_out_of_order(data.name)
        return str(found)


def declared_rows(spec: StudySpec, data_dir: Path | None) -> tuple[Folds, Dataset, tuple[Fold, ...]]:
    """Return the folds that a Keras study declares, its development rows, and the rows of each fold.

    Raises:
        UsageError: If the rows are missing, or cannot be used or split.
    """
    declared, data = with_given_rows(spec.folds, load_data(spec, data_dir))
    refuse_no_numbers(data)
    _check_one_hot(spec, data)
    folds = train_on_part(declared, split(declared, data, spec.seed), spec.train_fraction, data, spec.seed)
    return declared, data, folds


def rehearsed(spec: StudySpec, data: Dataset, folder: Path, usual: dict[str, Any]) -> str:
    """Check a network of the study, and return a note on it; `usual` receives the usual values of `autotune.spaces`."""
    from autotune.training.trials import rehearse  # only Keras studies need TensorFlow

    given = next(iter(configurations(spec.baseline, spec.enqueue, spec.guess or ()).values()), {})
    trial: Any = NotingTrial(Replay(dict(given), 0), usual)
    return rehearse(spec, trial, data, folder, objects_of(spec))


def _check_one_hot(spec: StudySpec, data: Dataset) -> None:
    if spec.one_hot and data.n_classes is None:
        raise StudyFileError(
            f"one_hot=True, but the targets of {data.name!r} are not one integer label for each row.",
            "one_hot needs labels of classes: integers from 0, y of shape (n,).",
            "Give integer labels, or remove one_hot from the study file.",
        )


def described_rows(spec: StudySpec, data: Dataset) -> str:
    """Return one line about the development rows of a Keras study and its folds."""
    part = f", searched on {spec.train_fraction:.0%} of the training rows" if spec.train_fraction < 1 else ""
    return (
        f"{data.name}: {len(data):,} development rows of shape {data.input_shape}, {_targets(data)}; "
        f"{spec.folds!r}{part}"
    )


def _targets(data: Dataset) -> str:
    if data.n_classes is not None:
        return f"{data.n_classes} classes"
    if data.target_shape is None:
        return "no targets"
    return "numbers to predict" if data.target_shape == () else f"targets of shape {data.target_shape}"
