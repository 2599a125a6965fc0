"""A thread that writes checkpoints, by way of `copies`, while training goes on.

The values are copied when the epoch ends. The thread then writes them while the next epoch trains. It writes one
checkpoint at a time, and no trial ends before its last one is written. A trial that is killed during a write resumes
from the checkpoint before, trains one epoch again and ends with the same numbers.

Training waits for the first checkpoint to be written. So a trial that has reported but has no checkpoint has lost it,
for example together with its machine.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from autotune.training.checkpoints.checkpoint import Checkpoint
from autotune.training.checkpoints.copies import CheckpointCopies


class CheckpointWriter:
    """Writes the checkpoints of a trial one after the other. Use it in a `with` block, which waits for the last one.

    Args:
        copies: The copies that it writes to.
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
        """Start to write `checkpoint` once the one before is written. Its arrays must not change from now on.

        Raises:
            OSError: If the checkpoint before could not be written, e.g. because the disk is full.
        """
        self._wait()
        is_first = not self._copies.histories
        self._last = self._thread.submit(self._copies.save, checkpoint)
        if is_first:
            self._wait()

    def note(self, checkpoint: Checkpoint) -> None:
        """Keep the history of an epoch, for the figures of the trial, without writing its checkpoint."""
        self._wait()
        self._copies.histories = checkpoint.histories

    def _wait(self) -> None:
        if self._last is not None:
            last, self._last = self._last, None
            last.result()
