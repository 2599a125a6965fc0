"""The whole state of a trial after an epoch, written to one file and read from it.

What is covered: all variables that change while a network trains, with seed generators and any number of optimizers
(Keras's own files do not contain those); the plain state of callbacks; the history; the best epoch and its weights; the
finished folds.
What is not covered: attributes of callbacks whose types `values` cannot convert.

The file is a SHA-256 digest followed by an `.npz` archive. It is written under a temporary name and then renamed, so
that a process that is killed at any moment leaves the old file or the new one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.training.checkpoints.values import Packing, Unpacking, pack, unpack

_DIGEST_BYTES = 32


class UnusableCheckpointError(Exception):
    """The file is no usable checkpoint of this trial; the text says why, e.g. "is damaged"."""


@dataclass(frozen=True)
class FoldScore:
    """The result of training on one fold.

    Attributes:
        value: The monitored metric at `best_epoch`.
        best_epoch: The epoch whose value and weights count, from 1.
        history: Every metric that Keras reported, a value for each epoch.
        n_parameters: The number of weights of the fold's network; it may depend on the rows, e.g. through a vocabulary.
        stage_ends: The number of epochs after each stage but the last; empty if there is only one.
    """

    value: float
    best_epoch: int
    history: dict[str, list[float]]
    n_parameters: int
    stage_ends: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class FoldHistory:
    """The history of a finished or unfinished training on one fold.

    Attributes:
        metrics: Every metric that Keras reported, a value for each finished epoch.
        best_epoch: The epoch that counts, from 1.
    """

    metrics: dict[str, list[float]]
    best_epoch: int


@dataclass(frozen=True)
class Checkpoint:
    """The state of a trial after an epoch.

    Attributes:
        identity: The digest of the trial's parameters, seed and split. A checkpoint with another one is not used.
        finished: The scores of the folds before the one in training.
        history: Every metric of the fold in training, a value for each finished epoch.
        best_epoch: The best finished epoch of this fold, from 1.
        stopped: Whether a callback has ended the training of this fold.
        callbacks: For each callback its attributes, as `state_of` returns them.
        variables: The values of the model's changing variables, in the order of `training_variables`.
        best_weights: The model's weights at `best_epoch`.
        fit_seconds: The seconds in `Model.fit` so far, over all folds and processes.
        process_seconds: The seconds of all processes of the trial so far.
        callback_variables: The values of the callbacks' variables, in the order of `callback_variables`.
        stage: The number of the stage that this was written in, from 0.
        stage_ends: The number of epochs of this fold after each stage that is over: the stages before this one, and
            this one too if its callbacks have ended the training.
        study_globals: The values at the top level of the study file that have changed, by module and name.
    """

    identity: str
    finished: tuple[FoldScore, ...]
    history: dict[str, list[float]]
    best_epoch: int
    stopped: bool
    callbacks: list[dict[str, Any]]
    variables: list[npt.NDArray[Any]]
    best_weights: list[npt.NDArray[Any]]
    fit_seconds: float = 0.0
    process_seconds: float = 0.0
    callback_variables: list[npt.NDArray[Any]] = field(default_factory=list)
    stage: int = 0
    stage_ends: list[int] = field(default_factory=list)
    study_globals: dict[str, Any] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """Finished epochs of the fold in training."""
        return max((len(values) for values in self.history.values()), default=0)

    @property
    def histories(self) -> list[FoldHistory]:
        """The history of each fold that was started."""
        finished = [FoldHistory(score.history, score.best_epoch) for score in self.finished]
        return [*finished, FoldHistory(self.history, self.best_epoch)]

    @property
    def progress(self) -> tuple[int, int]:
        """The number of finished folds, and of finished epochs of the fold in training."""
        return len(self.finished), self.epochs


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write `checkpoint` to `path`, atomically.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
    """
    packing = Packing()
    fields = {name: pack(value, packing) for name, value in vars(checkpoint).items() if name != "finished"}
    fields["finished"] = [pack(vars(score), packing) for score in checkpoint.finished]
    buffer = io.BytesIO()
    meta = np.frombuffer(json.dumps(fields).encode(), dtype=np.uint8)
    np.savez(buffer, meta=meta, **{f"array_{i}": array for i, array in packing.arrays.values()})  # type: ignore[arg-type]  # reason: as NumPy has it
    payload = buffer.getbuffer()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(hashlib.sha256(payload).digest())
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def load_checkpoint(path: Path, identity: str) -> Checkpoint | None:
    """Read the checkpoint at `path`; None if there is none.

    Raises:
        UnusableCheckpointError: If it is no checkpoint of the trial `identity`.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return read_checkpoint(content, identity)


def stored_histories(path: Path) -> list[FoldHistory]:
    """Return the histories of the folds in the checkpoint at `path`.

    Raises:
        UnusableCheckpointError: If it is damaged or from another version.
        OSError: If the file is missing or cannot be read.
    """
    return _checked(path.read_bytes()).histories


def read_checkpoint(content: bytes, identity: str) -> Checkpoint:
    """Return the checkpoint in the bytes that `save_checkpoint` wrote.

    Raises:
        UnusableCheckpointError: If the digest does not match the content, or the checkpoint is of another trial.
    """
    checkpoint = _checked(content)
    if checkpoint.identity != identity:
        raise UnusableCheckpointError("is of another trial or another version of it")
    return checkpoint


def _checked(content: bytes) -> Checkpoint:
    digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        raise UnusableCheckpointError("is damaged")
    try:
        return _read(payload)
    except (TypeError, KeyError, ValueError, IndexError) as error:
        raise UnusableCheckpointError("is from another version of this package") from error


def _read(payload: bytes) -> Checkpoint:
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        fields = json.loads(archive["meta"].tobytes())
        unpacking = Unpacking(archive)
        fields = {name: unpack(value, unpacking) for name, value in fields.items()}
    finished = tuple(FoldScore(**score) for score in fields.pop("finished"))
    return Checkpoint(finished=finished, **fields)
