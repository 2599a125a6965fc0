"""Where a trial keeps its files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial: `RUN_DIR/NAME/trials/00012`.

    Args:
        path: The folder; it need not exist.
    """

    path: Path

    @property
    def log(self) -> Path:
        """What the trial printed, and its traceback if it failed."""
        return self.path / "log.txt"

    @property
    def model(self) -> Path:
        """The trained model at its best epoch; kept for the best few trials only."""
        return self.path / "model.keras"

    @property
    def checkpoint(self) -> Path:
        """The state after the last finished epoch, while the trial may go on."""
        return self.path / "checkpoint" / "state"

    def remove_checkpoint(self) -> None:
        """Delete the checkpoint of a trial that is finished."""
        shutil.rmtree(self.checkpoint.parent, ignore_errors=True)


def trial_folder(study_folder: Path, number: int) -> TrialFolder:
    """Return the folder of trial `number` in a study's folder `RUN_DIR/NAME`."""
    return TrialFolder(study_folder / "trials" / f"{number:05d}")
