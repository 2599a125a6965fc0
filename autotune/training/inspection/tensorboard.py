"""Event files for TensorBoard: epochs by Keras's own callback, hyperparameters by the HParams plugin.

Each trial has a folder, with a subfolder for each fold if there are several. A resumed trial adds files, whose steps
follow the earlier ones. Nothing here draws random numbers, so a trial's results are the same with and without it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from autotune.keras_inside import writers_of


@dataclass(frozen=True)
class TrialEvents:
    """The writer of the event files of one trial.

    Args:
        folder: The trial's folder; created when it is first written to.
        n_folds: Number of folds of the trial.
    """

    folder: Path
    n_folds: int

    def callback(self, fold: int) -> keras.callbacks.Callback:
        """Return the callback that writes the epochs of a fold, counted from 0."""
        return _EpochEvents(self.folder / f"fold-{fold + 1}" if self.n_folds > 1 else self.folder)

    def write_hyperparameters(self, params: Mapping[str, Any]) -> None:
        """Write the trial's hyperparameters, by which TensorBoard compares trials."""
        from tensorboard.plugins.hparams import api

        shown = {name: v if isinstance(v, (bool, int, float, str)) else str(v) for name, v in params.items()}
        with _writer(self.folder) as writer, writer.as_default():
            api.hparams(shown, trial_id=self.folder.name)

    def write_value(self, monitor: str, value: float, epochs: int) -> None:
        """Write the value of the complete trial, which TensorBoard shows next to its hyperparameters."""
        import tensorflow as tf

        with _writer(self.folder) as writer, writer.as_default():
            tf.summary.scalar(monitor, value, step=epochs)


class _EpochEvents(keras.callbacks.TensorBoard):  # type: ignore[misc]  # reason: Keras ships no types
    """Keras's callback, which also flushes its files after each epoch, because the process may be killed."""

    groups_from = 1  # with these arguments it does nothing at batches

    def __init__(self, folder: Path) -> None:
        # Without graph and profile, which take longer than an epoch of a small network.
        super().__init__(str(folder), write_graph=False, update_freq="epoch", profile_batch=0)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, {name: value for name, value in (logs or {}).items() if np.size(value) == 1})
        for writer in writers_of(self):
            writer.flush()


def _writer(folder: Path) -> contextlib.closing[Any]:
    import tensorflow as tf

    return contextlib.closing(tf.summary.create_file_writer(str(folder)))
