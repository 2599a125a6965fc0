"""The two copies of a trial's checkpoint: in the trial's folder and, for other machines, in an artifact store.

Each checkpoint is written to the folder first, then to the store. A process that resumes the trial reads both and uses
the one with more epochs. If the store cannot be reached, the trial goes on, and the next epoch tries again.
"""

from __future__ import annotations

from collections.abc import Callable

from autotune.training.checkpoints.artifacts import reason
from autotune.training.checkpoints.checkpoint import (
    Checkpoint,
    FoldHistory,
    UnusableCheckpointError,
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from autotune.training.checkpoints.folder import TrialFolder


class CheckpointCopies:
    """The checkpoint of a trial while a process trains it.

    Args:
        folder: The trial's folder, with its place in the artifact store if there is one.
        tell: Called with messages for the user.

    Attributes:
        histories: The history of each fold in the checkpoint that was loaded or saved last; empty if there was none.
    """

    def __init__(self, folder: TrialFolder, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._has_told = False
        self.histories: list[FoldHistory] = []

    def load(self, identity: str, has_reported: bool) -> Checkpoint | None:
        """Return the usable checkpoint with the most epochs; None if there is none.

        Args:
            identity: The identity that the checkpoint must have.
            has_reported: Whether the trial has reported, so that it must have had a checkpoint.
        """
        found: list[Checkpoint] = []
        problems: list[str] = []
        for where, load in ((self._folder.checkpoint, self._load_local), (self._folder.copy, self._load_copy)):
            try:
                checkpoint = load(identity)
                found += [checkpoint] if checkpoint is not None else []
            except UnusableCheckpointError as error:
                problems.append(f"its checkpoint {where} {error}")
        if not found and not problems and has_reported:
            problems.append("it has reported before, but there is no checkpoint of it here")
        for problem in problems:
            self._tell(f"{problem}; {'it goes on from its other copy' if found else 'it starts over'}")
        furthest = max(found, key=lambda one: (*one.progress, len(one.stage_ends)), default=None)
        self.histories = furthest.histories if furthest else []
        return furthest

    def save(self, checkpoint: Checkpoint) -> None:
        """Write `checkpoint` to the folder and to the store.

        Raises:
            OSError: If the disk is full or the folder cannot be written.
        """
        save_checkpoint(checkpoint, self._folder.checkpoint)
        self.histories = checkpoint.histories
        if self._folder.copy is None:
            return
        try:
            with self._folder.checkpoint.open("rb") as content:
                self._folder.copy.write(content)
        except Exception as error:  # the store's client may raise any error, but the trial itself can go on
            if not self._has_told:
                self._has_told = True
                self._tell(
                    f"its checkpoint could not be copied to {self._folder.copy} ({reason(error)}); "
                    "each epoch tries again"
                )

    def _load_local(self, identity: str) -> Checkpoint | None:
        return load_checkpoint(self._folder.checkpoint, identity)

    def _load_copy(self, identity: str) -> Checkpoint | None:
        if self._folder.copy is None:
            return None
        try:
            content = self._folder.copy.read()
        except Exception as error:
            raise UnusableCheckpointError(f"cannot be read ({reason(error)})") from error
        return None if content is None else read_checkpoint(content, identity)
