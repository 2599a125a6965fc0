"""Tasks of processes that check a study file: does a trial get through its first epoch?"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from autotune.data.rows import Dataset
from autotune.data.splits import Fold
from autotune.errors import AutotuneError, DivergedError, StudyFailedError
from autotune.failures import code_around, summary_of
from autotune.running.processes import Slot, is_out_of_memory
from autotune.running.study import StudySource
from autotune.running.trial.declaration import send_result
from autotune.running.trial.doubts import doubts_about
from autotune.running.trial.given_configurations import EXPECTED_OF_GIVEN, refusal
from autotune.running.trial.preparing import declared_rows, described_rows, rehearsed
from autotune.running.trial.rows import Rows, open_rows
from autotune.running.trial.search_space import check_given
from autotune.running.trial.trial_task import load_in_slot
from autotune.running.trial.trying import Tried, n_batches, try_few_batches
from autotune.study import StudySpec

_MOST_DRAWS = 8  # other configurations that are tried before a study is given up


@dataclass(frozen=True)
class Seen:
    """What a check of a Keras study has seen.

    Attributes:
        data: A line about the rows and their folds.
        n_folds: The number of folds.
        train_rows: Training rows of the first fold.
        validation_rows: Its validation rows.
        params: The configuration that was trained.
        n_parameters: The number of weights of its network.
        batch_size: Rows of a batch.
        batches: Batches of an epoch.
        epochs: Epochs of each fold, over all stages.
        start_s: Seconds in which the network of a fold is built and traced.
        step_s: Seconds of a training step, once TensorFlow has traced it; None if it could not be measured.
        epoch_s: Seconds of an epoch of training and validation, reckoned from those of a batch; None like `step_s`.
        memory_mib: Main memory of the process at its peak, in MiB, TensorFlow's own and rows included; None if unknown.
        is_resumed: Whether the training went on from its checkpoint.
        notes: Notes for the user, one or two sentences each.
    """

    data: str
    n_folds: int
    train_rows: int
    validation_rows: int
    params: Mapping[str, Any]
    n_parameters: int
    batch_size: int
    batches: int
    epochs: int
    start_s: float
    step_s: float | None
    epoch_s: float | None
    memory_mib: int | None
    is_resumed: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """Task: train a few batches of a configuration, and send what was `Seen`; nothing is stored.

    Attributes:
        source: A Keras study.
        data_dir: The folder in which named datasets are looked for first.
        folder: A folder for temporary files.
        slot: The part of the machine that it may use.
    """

    source: StudySource
    data_dir: Path | None
    folder: Path
    slot: Slot

    def __call__(self, connection: Connection) -> None:
        _take(self.slot)
        send_result(connection, self._check, self.folder)

    def _check(self) -> Seen:
        spec = load_in_slot(self.source, self.slot)
        _, data, folds = declared_rows(spec, self.data_dir)
        first, notes = folds[0], doubts_about(spec, data)
        training = data.subset(first.train)
        if problems := check_given(spec, training).problems:
            raise refusal(problems, EXPECTED_OF_GIVEN)
        notes += filter(None, [rehearsed(spec, training, self.folder, {})])
        tried = _trained(spec, self.source, data, first)
        notes += filter(None, [_of_size(tried, len(first.train))])
        batches = n_batches(n_batches(len(first.train), tried.batch_size), spec.epochs_per_pass)
        return Seen(
            " ".join(described_rows(spec, data).split()),  # a splitter may describe itself in several lines
            len(folds),
            len(first.train),
            len(first.validation),
            tried.params,
            tried.n_parameters,
            tried.batch_size,
            batches,
            tried.epochs,
            tried.start_s,
            tried.step_s,
            tried.epoch_s(batches, len(first.validation)),
            _peak_mib(),
            tried.is_resumed,
            tuple(notes),
        )


@dataclass(frozen=True)
class TryOthers:
    """Task: send whether any of some other configurations gets through its first epoch, on a few rows.

    An error that depends on the configuration, such as memory that ran out, also counts as getting through.

    Attributes:
        source: A Keras study.
        rows: Its stored rows.
        slot: The part of the machine that it may use.
    """

    source: StudySource
    rows: Rows
    slot: Slot

    def __call__(self, connection: Connection) -> None:
        _take(self.slot)
        send_result(connection, self._works)

    def _works(self) -> bool:
        spec = load_in_slot(self.source, self.slot)
        split = open_rows(self.rows, spec)
        return any(_gets_through(spec, split.data, split.folds[0], draw) for draw in range(1, 1 + _MOST_DRAWS))


def _gets_through(spec: StudySpec, data: Dataset, fold: Fold, draw: int) -> bool:
    try:
        try_few_batches(spec, data, fold, draw)
    except DivergedError:
        return True
    except Exception as error:
        return is_out_of_memory(error)
    return True


def _trained(spec: StudySpec, source: StudySource, data: Dataset, fold: Fold) -> Tried:
    try:
        return try_few_batches(spec, data, fold)
    except AutotuneError:
        raise
    except Exception as error:
        raise StudyFailedError(
            f"a trial cannot be trained: {summary_of(error, source.path)}",
            code_around(error) or "It should train a few batches of its first epoch.",
            "Correct the study file, and check it again. Nothing was stored.",
        ) from error


def _take(slot: Slot) -> None:
    os.environ.update(slot.environment)


def _peak_mib() -> int | None:
    try:
        import resource  # there is none on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)  # bytes there, KiB elsewhere


def _of_size(tried: Tried, n_rows: int) -> str:
    if tried.batch_size <= n_rows:
        return ""
    return f"a batch has {tried.batch_size:,} rows, but there are {n_rows:,} to train on: an epoch is one small batch."
