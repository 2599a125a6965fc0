"""What a search reached when: a file of JSON lines that all of its processes append to."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EpochDone:
    """One epoch of one trial.

    Attributes:
        seconds: When it ended, since the search's process was started.
        trial: Whose it is.
        epoch: Which one, from 1.
        val_accuracy: Validation accuracy after it, in [0, 1].
        epoch_s: Seconds that it took, with its validation and, if it is the first, the tracing of the network.
        share: Of the training rows, the share that it went through, in (0, 1].
    """

    seconds: float
    trial: str
    epoch: int
    val_accuracy: float
    epoch_s: float
    share: float


@dataclass(frozen=True)
class TrialDone:
    """A trial has ended, complete or stopped early.

    Attributes:
        seconds: When, since the search's process was started.
        trial: Which one.
    """

    seconds: float
    trial: str


@dataclass(frozen=True)
class Journal:
    """Where a search notes what it reached.

    Attributes:
        path: The file.
        began: When the search's process was started, as `time.time()`, which all processes of a machine agree on.
    """

    path: str
    began: float

    def note_epoch(self, trial: str, epoch: int, val_accuracy: float, epoch_s: float, share: float) -> None:
        """Note an epoch that has just ended."""
        line = {"trial": trial, "epoch": epoch, "val_accuracy": val_accuracy, "epoch_s": epoch_s, "share": share}
        self._append(line)

    def note_end(self, trial: str) -> None:
        """Note a trial that has just ended."""
        self._append({"trial": trial})

    def _append(self, line: dict[str, object]) -> None:
        text = json.dumps({"seconds": time.time() - self.began, **line})
        with Path(self.path).open("a", encoding="utf-8") as file:  # one short write: lines of processes do not mix
            file.write(text + "\n")

    def read(self, until_s: float) -> tuple[list[EpochDone], list[TrialDone]]:
        """Return what happened up to a second, in order."""
        path = Path(self.path)
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        notes = [note for note in map(json.loads, _whole(lines)) if note["seconds"] <= until_s]
        notes.sort(key=lambda note: note["seconds"])
        epochs = [EpochDone(**note) for note in notes if "epoch" in note]
        return epochs, [TrialDone(**note) for note in notes if "epoch" not in note]


def _whole(lines: list[str]) -> list[str]:
    """Leave out what a killed process has not written to its end."""
    return [line for line in lines if line.endswith("}")]
