"""The time that a saved and loaded model takes to predict one row."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import keras

from autotune.data.rows import Dataset
from autotune.disk import disk_full
from autotune.errors import TrainingError
from autotune.failures import summary_of
from autotune.training.fitting import Batches

_WARM_UP = 5
_REPEATS = 50


def measure_latency_ms(model: keras.Model, data: Dataset) -> float:
    """Save a model, load it again, and return the fastest of 50 predictions of one row, in milliseconds.

    The fastest counts, because other work on the machine can only make a prediction slower.

    Args:
        model: The model.
        data: A dataset; its first row is predicted.

    Raises:
        TrainingError: If the model cannot be saved and loaded.
        OSError: If the disk is full.
    """
    row, *_ = Batches(data, 1)[0]
    loaded = _saved_and_loaded(model)
    seconds = []
    for _ in range(_WARM_UP + _REPEATS):
        started = time.perf_counter()
        loaded.predict_on_batch(row)
        seconds.append(time.perf_counter() - started)
    return 1000 * min(seconds[_WARM_UP:])


def _saved_and_loaded(model: keras.Model) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        try:
            model.save(path)
            return keras.saving.load_model(path, compile=False)
        except Exception as error:
            if disk_full(error, path.parent):
                raise
            raise TrainingError(
                f"the latency cannot be measured: {summary_of(error)}",
                "It is measured on the exported model, which is saved as .keras and loaded again.",
                "Mark the study file's own layers with @keras.saving.register_keras_serializable(), or leave "
                "'latency' out of minimize.",
            ) from error
