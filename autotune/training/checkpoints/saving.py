"""Checkpoints that are written while training goes on.

What a checkpoint holds is copied when its epoch ends. A thread then writes it, while the next epoch is trained: never
two at a time, and no trial ends before its last one is written. A trial that is killed meanwhile goes on from the
checkpoint before, trains one epoch again and ends with the same numbers.

The first one is waited for. A trial that has reported has a checkpoint: one that has none was lost with its machine.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from autotune.training.checkpoints.checkpoint import Checkpoint
from autotune.training.checkpoints.copies import CheckpointCopies


class CheckpointWriter:
    """Writes the checkpoints of a trial, one after the other; to be used in a `with` block, which ends after the last.

    Args:
        copies: Where they are written to.
    """

    def __init__(self, copies: CheckpointCopies) -> None:
        self._copies = copies
        self._thread = ThreadPoolExecutor(1, "autotune-checkpoint")
        self._last: Future[None] | None = None

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        self._wait()

    def save(self, checkpoint: Checkpoint) -> None:
        """Have `checkpoint` written, after the one before it. Nothing in it may be changed from now on.

        Raises:
            OSError: If the one before could not be written: the disk is full, say.
        """
        self._wait()
        is_first = not self._copies.histories
        self._last = self._thread.submit(self._copies.save, checkpoint)
        if is_first:
            self._wait()

    def note(self, checkpoint: Checkpoint) -> None:
        """Let what is shown of the trial know of an epoch whose checkpoint is not written."""
        self._wait()
        self._copies.histories = checkpoint.histories

    def _wait(self) -> None:
        if self._last is not None:
            last, self._last = self._last, None
            last.result()
