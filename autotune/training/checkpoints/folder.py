"""The folder of a trial, and the paths of its files."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from autotune.training.checkpoints.artifacts import Artifact

WEIGHTS = "weights.npz"
"""The file with the weights of a trained model."""


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial: `RUN_DIR/NAME/trials/00012`.

    Args:
        path: The folder; it need not exist.
        copy: The copy of the checkpoint for other machines; None for no copy.
        events: The folder of its event files for TensorBoard; None for none.
    """

    path: Path
    copy: Artifact | None = None
    events: Path | None = None

    @property
    def log(self) -> Path:
        """The log: the trial's output, and its traceback if it failed."""
        return self.path / "log.txt"

    @property
    def model(self) -> Path:
        """The trained model at its best epoch; kept for the best few trials only."""
        return self.path / "model.keras"

    @property
    def weights(self) -> Path:
        """The weights of a trained model of the study file's own class, which Keras may not be able to load."""
        return self.path / WEIGHTS

    @property
    def kept_model(self) -> Path:
        """The trained model: `model`, or `weights` if Keras could not save it; it need not exist."""
        return self.weights if not self.model.is_file() and self.weights.is_file() else self.model

    def remove_model(self) -> None:
        """Delete the trained model.

        Raises:
            OSError: It cannot be deleted.
        """
        self.model.unlink(missing_ok=True)
        self.weights.unlink(missing_ok=True)

    @property
    def checkpoint(self) -> Path:
        """The checkpoint after the last finished epoch; it exists while the trial may be resumed."""
        return self.path / "checkpoint" / "state"

    @property
    def shown(self) -> Path:
        """The folder of the pictures and tables of an ended trial, until they are in the artifact store."""
        return self.path / "shown"

    @property
    def result(self) -> Path:
        """The value that a plain objective has returned, until it is in the storage."""
        return self.path / "checkpoint" / "result"

    def has_checkpoint(self) -> bool:
        """Tell whether the trial has a checkpoint here, or a copy that could not be removed yet."""
        return self.checkpoint.parent.is_dir()

    def remove_checkpoint(self) -> bool:
        """Delete the checkpoint of a trial that is finished, and its copy.

        Returns:
            False if the copy cannot be reached; then `has_checkpoint` stays True, so that the next run tries again.
        """
        with contextlib.suppress(OSError):
            self.checkpoint.unlink()
        try:
            if self.copy is not None:
                self.copy.remove()
        except Exception:  # the store's client may raise any error; the next run tries again
            with contextlib.suppress(OSError):
                self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
            return False
        shutil.rmtree(self.checkpoint.parent, ignore_errors=True)
        return True


def trial_folder(
    study_folder: Path, number: int, artifacts: str | None = None, events: Path | None = None
) -> TrialFolder:
    """Return the folder of trial `number`.

    Args:
        study_folder: The study's folder, `RUN_DIR/NAME`.
        number: The trial's number.
        artifacts: The URL of the study's folder in an artifact store; None for no copies.
        events: The folder of the study's event files; None for none.
    """
    name = f"{number:05d}"
    copy = Artifact(artifacts, f"{name}.checkpoint") if artifacts else None
    return TrialFolder(study_folder / "trials" / name, copy, events / name if events else None)
