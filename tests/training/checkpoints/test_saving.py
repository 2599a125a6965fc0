"""Checkpoints are written while training goes on, whole and one after the other; the trial ends after the last."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotune.study import StudySpec
from autotune.training.checkpoints import copies
from autotune.training.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from autotune.training.checkpoints.copies import CheckpointCopies
from autotune.training.checkpoints.folder import TrialFolder
from autotune.training.checkpoints.saving import CheckpointWriter

StudyOf = Callable[..., StudySpec]
Bench = Any


class Disk:
    """A disk, which can be made to write the checkpoint of epoch 2 only when a batch of epoch 3 has been trained.

    Attributes:
        story: What happened, in turn.
        kept: The checkpoints as they can be read, by epoch.
        failure: What the disk answers to the checkpoint of an epoch, by epoch.
    """

    def __init__(self) -> None:
        self.story: list[str] = []
        self.kept: dict[int, Checkpoint | None] = {}
        self.failure: dict[int, BaseException] = {}
        self._begun, self._trained = threading.Event(), threading.Event()
        self._trained.set()

    def write(self, checkpoint: Checkpoint, path: Path) -> None:
        epoch = checkpoint.epochs
        self.story.append(f"begin {epoch}")
        if epoch in self.failure:
            raise self.failure[epoch]
        if epoch == 2:
            self._begun.set()
            if threading.current_thread() is not threading.main_thread():
                self._trained.wait()
        save_checkpoint(checkpoint, path)
        self.kept[epoch] = load_checkpoint(path, checkpoint.identity)
        self.story.append(f"end {epoch}")

    def slow(self) -> Any:
        """Make this disk slow, and return the callback that it waits for."""
        import keras

        self._trained.clear()

        class Seeing(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
            seen: list[int]

            def on_train_begin(callback, logs: object = None) -> None:
                callback.seen = []

            def on_epoch_begin(callback, epoch: int, logs: object = None) -> None:
                callback.seen.append(epoch)
                if epoch == 2:
                    self._begun.wait()

            def on_train_batch_end(callback, batch: int, logs: object = None) -> None:
                if callback.seen[-1] == 2 and not self._trained.is_set():
                    self.story.append("train 3")
                    self._trained.set()

        return Seeing()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(copies, "save_checkpoint", disk.write)
    return disk


@pytest.mark.trains
def test_training_goes_on_while_a_checkpoint_is_written(bench: Bench, study_of: StudyOf, disk: Disk) -> None:
    bench.train(study_of(fit=lambda trial: {"callbacks": [disk.slow()]}))
    assert disk.story == ["begin 1", "end 1", "begin 2", "train 3", "end 2", "begin 3", "end 3"]


@pytest.mark.trains
def test_a_checkpoint_is_of_its_epoch_however_late_it_is_written(
    bench: Bench, new_bench: Callable[[], Bench], study_of: StudyOf, disk: Disk
) -> None:
    bench.train(study_of(fit=lambda trial: {"callbacks": [disk.slow()]}))
    late = disk.kept[2]
    shorter = new_bench()
    shorter.study.enqueue_trial(bench.study.trials[0].params)
    shorter.train(study_of(epochs=2))
    expected = shorter.checkpoint(study_of(epochs=2))
    assert late is not None
    assert late.callbacks[0]["seen"] == [0, 1]
    assert late.history == expected.history
    for one, other in zip(late.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.trains
def test_a_trial_that_is_killed_while_it_writes_trains_an_epoch_again_and_ends_with_the_same_numbers(
    bench: Bench, new_bench: Callable[[], Bench], study_of: StudyOf, disk: Disk, interrupted: type[BaseException]
) -> None:
    disk.failure = {2: interrupted()}
    with pytest.raises(interrupted):
        bench.train(study_of())
    assert list(bench.last.reports) == [1, 2]
    assert bench.checkpoint(study_of()).epochs == 1
    disk.failure = {}
    score = bench.train(study_of())
    assert list(bench.last.reports) == [1, 2, 3]
    whole = new_bench()
    whole.study.enqueue_trial(bench.study.trials[0].params)
    assert [vars(fold) for fold in whole.train(study_of()).folds] == [vars(fold) for fold in score.folds]
    assert whole.study.trials[0].intermediate_values == bench.study.trials[0].intermediate_values


@pytest.mark.trains
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_checkpoint_that_cannot_be_written_ends_the_trial(
    epoch: int, bench: Bench, study_of: StudyOf, disk: Disk
) -> None:
    disk.failure = {epoch: OSError(errno.ENOSPC, "No space left on device")}
    with pytest.raises(OSError, match="No space left"):
        bench.train(study_of())


def test_a_trial_has_its_first_checkpoint_before_it_reports(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path)
    first = Checkpoint("", (), {"loss": [1.0]}, 1, False, [], [np.arange(3.0)], [])
    with CheckpointWriter(CheckpointCopies(folder, print)) as writer:
        writer.save(first)
        assert folder.checkpoint.exists()
