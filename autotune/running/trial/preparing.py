"""What is done once before the trials of a run, in a process of its own: load the study, store and split the data.

The parent never imports Keras: what it needs to know of a study comes back as a `Declaration`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import optuna

from autotune.data import (
    Dataset,
    Fold,
    Folds,
    Split,
    has_test_rows,
    known_leaks,
    load_development,
    load_folds,
    open_stored,
    refuse_no_numbers,
    split,
    split_digest,
    store,
    store_folds,
    train_on_part,
)
from autotune.disk import disk_full
from autotune.errors import AutotuneError, StudyFileError
from autotune.failures import summary_of
from autotune.running.study import Budget, StudySource, objects_of
from autotune.running.trial.asked_again import PastTrial, choice_changes, given_problems, replayed, space_changes
from autotune.running.trial.doubts import doubts_about
from autotune.running.trial.given import BASELINE, configurations
from autotune.running.trial.piped_trial import PipedTrial, Replay
from autotune.search.curves import with_epoch_policy
from autotune.seeds import derive_seed
from autotune.stopping_rule import StopWhenFlat
from autotune.study import Cost, Direction, EpochPolicy, StudySpec


@dataclass(frozen=True)
class Declaration:
    """A `StudySpec` without the functions that only trial processes call, and whether these need Keras."""

    name: str
    direction: Direction
    minimize: Sequence[Cost]
    monitor: str | None
    epochs: int
    epoch_policy: EpochPolicy
    n_trials: int
    seed: int
    sampler: Callable[[int], optuna.samplers.BaseSampler] | None
    pruner: optuna.pruners.BasePruner | None
    keep_models: int
    max_failures_in_a_row: int
    count_failed: bool
    max_retries: int
    retry_errors: int
    trial_timeout_s: float | None
    stop: StopWhenFlat | None
    folds: Folds
    train_fraction: float
    epochs_per_pass: int
    baseline: Mapping[str, Any] | None
    enqueue: Sequence[Mapping[str, Any]]
    has_test_rows: bool
    needs_keras: bool

    def budget(self, n_trials: int | None) -> Budget:
        """Return the budget of so many trials; None for those that are there, each of which is run to its end."""
        if n_trials is None:
            return Budget(None, max_retries=self.max_retries, retry_errors=self.retry_errors)
        return Budget(n_trials, self.count_failed, self.max_retries, self.stop, self.retry_errors)


@dataclass(frozen=True)
class Rows:
    """The development rows on disk, and who trains on which.

    Attributes:
        dataset: The folder of the stored dataset, memory-mapped by trial processes.
        folds: An `.npz` file with the positions of each fold.
        digest: A hash of data and folds.
    """

    dataset: Path
    folds: Path
    digest: str


def open_rows(rows: Rows) -> Split:
    """Open stored rows without reading them into memory.

    Raises:
        DamagedStoreError: They are missing, or not of the size and form that they were stored with.
    """
    return Split(open_stored(rows.dataset), load_folds(rows.folds), rows.digest)


@dataclass(frozen=True)
class Preparation:
    """What preparing a study came to.

    Attributes:
        rows: Where the data are; None for a plain objective.
        space_changes: How the search space differs from that of the finished trials, a line for each parameter.
        choice_changes: How the choices of its categorical parameters differ from those of any stored trial.
        given_problems: What the baseline and the trials to begin with lack, have too much, or have out of range; a line
            each.
        repeats: The same data split anew, by the repeat and the fraction of the training rows that is left.
        whole: The same data, all of it to train on; None for a plain objective, or if no repeats were asked for.
        description: The data and their split, in words; empty for a plain objective.
        notes: What a person should know of the data, a sentence or two each.
        leaks: What is known of rows to validate on from training, in words; empty if nothing is, or with repeats.
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


@dataclass(frozen=True)
class Declare:
    """Task: load the study and send back its `Declaration`."""

    source: StudySource

    def __call__(self, connection: Connection) -> None:
        send_result(connection, lambda: _declaration(self.source.load()))


@dataclass(frozen=True)
class Prepare:
    """Task: put the data where trial processes find it, split it, replay stored trials; send a `Preparation`.

    Attributes:
        source: The study.
        data_dir: Where named datasets are looked for first.
        run_dir: Where data are kept.
        study_folder: Where folds are kept.
        past: Trials to be replayed.
        repeats: How many more splits there are to be, each from a seed of its own.
        fractions: On which shares of the training rows of each of these.
    """

    source: StudySource
    data_dir: Path | None
    run_dir: Path
    study_folder: Path
    past: list[PastTrial]
    repeats: int = 0
    fractions: tuple[float, ...] = (1.0,)

    def __call__(self, connection: Connection) -> None:
        send_result(connection, self._prepare, self.run_dir)

    def _prepare(self) -> Preparation:
        spec = self.source.load()
        if spec.objective is not None:
            return Preparation(None, [], [], [])
        data = _load_data(spec, self.data_dir)
        refuse_no_numbers(data)
        _check_one_hot(spec, data)
        notes = doubts_about(spec, data) if not self.repeats else []
        folds = self._folds(spec, data, spec.seed, spec.train_fraction)
        stored = store(data, self.run_dir / "datasets", notes.append)

        def rows_of_folds(folds: tuple[Fold, ...]) -> Rows:
            rows = _rows(data, stored, folds, self.study_folder)
            store_folds(folds, rows.folds, notes.append)
            return rows

        rows = rows_of_folds(folds)
        again = replayed(spec, data.subset(folds[0].train), self.past)
        is_new = self.repeats or not any(trial.is_finished for trial in self.past)
        problems = given_problems(spec, data.subset(folds[0].train)) if is_new else []
        if not (self.past or self.repeats or problems):
            _rehearse(spec, data.subset(folds[0].train), self.run_dir)
        changes = space_changes(again), choice_changes(again), problems
        seeds = [derive_seed(spec.seed, "repeat", repeat) for repeat in range(self.repeats)]
        anew = {
            (repeat, fraction): rows_of_folds(self._folds(spec, data, seed, fraction))
            for repeat, seed in enumerate(seeds)
            for fraction in self.fractions
        }
        everything = Fold(np.arange(len(data)), np.arange(0))
        whole = rows_of_folds((everything,)) if self.repeats else None
        described = _described(spec, data)
        leaks = "" if self.repeats else str(known_leaks(data, folds, spec.seed, rows.folds.with_suffix(".leaks.json")))
        notes += [leaks] if leaks else []
        return Preparation(
            rows, *changes, repeats=anew, whole=whole, description=described, notes=tuple(notes), leaks=leaks
        )

    def _folds(self, spec: StudySpec, data: Dataset, seed: int, fraction: float) -> tuple[Fold, ...]:
        folds = split(spec.folds, data.y, seed, data.groups)
        return train_on_part(spec.folds, folds, fraction, data.y, seed, data.groups)


def _rows(data: Dataset, stored: Path, folds: tuple[Fold, ...], study_folder: Path) -> Rows:
    digest = split_digest(data, folds)
    return Rows(stored, study_folder / f"folds-{digest[:12]}.npz", digest)


def _rehearse(spec: StudySpec, data: Dataset, folder: Path) -> None:
    from autotune.training.trials import rehearse  # Keras studies alone need TensorFlow

    given = next(iter(configurations(spec.baseline, spec.enqueue).values()), {})
    trial: Any = PipedTrial(Replay(dict(given), 0))
    rehearse(spec, trial, data, folder, objects_of(spec))


def _check_one_hot(spec: StudySpec, data: Dataset) -> None:
    if spec.one_hot and data.n_classes is None:
        raise StudyFileError(
            f"one_hot=True, but the targets of {data.name!r} are floats.",
            "Labels of classes are made one-hot: integers from 0.",
            "Give integer labels, or remove one_hot from the study file.",
        )


def _described(spec: StudySpec, data: Dataset) -> str:
    targets = f"{data.n_classes} classes" if data.n_classes is not None else "numbers to predict"
    part = f", searched on {spec.train_fraction:.0%} of the training rows" if spec.train_fraction < 1 else ""
    return f"{data.name}: {len(data):,} development rows of shape {data.input_shape}, {targets}; {spec.folds!r}{part}"


def send_result(connection: Connection, work: Callable[[], object], *folders: Path) -> None:
    result: tuple[str, object]
    try:
        result = ("value", work())
    except Exception as error:
        full = disk_full(error, *folders)
        if full is None and not isinstance(error, AutotuneError):
            raise
        result = ("error", full or error)
    connection.send_bytes(cloudpickle.dumps(result))  # what a study file defines cannot be pickled by name


def _declaration(spec: StudySpec) -> Declaration:
    named = {name: getattr(spec, name) for name in Declaration.__dataclass_fields__ if hasattr(spec, name)}
    if spec.objective is None:  # what an objective returns may be of any epoch
        named["pruner"] = with_epoch_policy(spec.pruner, spec.epoch_policy)
        if spec.sampler is not None:
            named["sampler"] = partial(_sampler, spec.sampler, spec.epoch_policy)
    given = {label: dict(params) for label, params in configurations(spec.baseline, spec.enqueue).items()}
    named["baseline"] = given.pop(BASELINE, None)
    named["enqueue"] = tuple(given.values())
    return Declaration(
        **named,
        has_test_rows=has_test_rows(spec.dataset) if isinstance(spec.dataset, str) else spec.test_dataset is not None,
        needs_keras=spec.objective is None or "tensorflow" in sys.modules,
    )


def _sampler(
    factory: Callable[[int], optuna.samplers.BaseSampler], epoch_policy: EpochPolicy, seed: int
) -> optuna.samplers.BaseSampler:
    return with_epoch_policy(factory(seed), epoch_policy)


def _load_data(spec: StudySpec, data_dir: Path | None) -> Dataset:
    if isinstance(spec.dataset, str):
        return load_development(spec.dataset, data_dir)
    assert spec.dataset is not None
    return rows_of("dataset", spec.dataset)


def rows_of(name: str, function: Callable[[], object]) -> Dataset:
    """Call a study's own `dataset` or `test_dataset`.

    Raises:
        StudyFileError: If it stops with an error, or returns something else than a `Dataset`.
    """
    try:
        data = function()
    except AutotuneError:
        raise
    except Exception as error:
        raise StudyFileError(
            f"the study's {name} function stopped with {summary_of(error)}.",
            "It returns a Dataset of rows.",
            "Call it by hand to see the whole traceback.",
        ) from error
    if not isinstance(data, Dataset):
        raise StudyFileError(
            f"the study's {name} function returned {type(data).__name__}.",
            "It returns a Dataset of rows.",
            "Return autotune.Dataset(x, y).",
        )
    return data
