"""Trained models, loaded and measured on rows that they were not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from autotune.data import Dataset
from autotune.errors import TrainingError
from autotune.training.batches import Batches

_BATCH_SIZE = 512


@dataclass(frozen=True, eq=False)
class Measurement:
    """What a model scores.

    Attributes:
        value: The metric over all rows.
        rows: The metric of each row, shape (n,), float64; None if it is no mean over rows.
    """

    value: float
    rows: npt.NDArray[np.float64] | None


def measure(
    path: Path, data: Dataset, metric: str, custom_objects: Mapping[str, Any], one_hot: bool = False
) -> Measurement:
    """Load a model and measure one of the metrics that it was compiled with.

    Args:
        path: A `.keras` file.
        data: The rows.
        metric: The metric as Keras names it, without "val_".
        custom_objects: Classes and functions of the study file that the model may need.
        one_hot: Whether it was trained on one-hot targets.

    Raises:
        TrainingError: If the model has no such metric.
    """
    model = keras.models.load_model(path, custom_objects=dict(custom_objects))
    batches = Batches(data, _BATCH_SIZE, one_hot=one_hot)
    found = model.evaluate(batches, verbose=0, return_dict=True)
    if metric not in found:
        raise TrainingError(
            f"the model {path} has no metric {metric!r}.",
            f"It was compiled with: {', '.join(sorted(found))}.",
            "Set `monitor` in the study file to one of these, with val_ before it.",
        )
    return Measurement(float(found[metric]), _by_row(model, batches, len(data), metric))


def _by_row(model: keras.Model, batches: Batches, n_rows: int, name: str) -> npt.NDArray[np.float64] | None:
    metric = next((one for one in _compiled(model) if one.name == name), None)
    if not isinstance(metric, keras.metrics.MeanMetricWrapper):
        return None
    scores = []
    for number in range(len(batches)):
        x, y = batches[number]
        scores.append(np.asarray(metric._fn(y, model(x, training=False), **metric._fn_kwargs), dtype=np.float64))
    rows = np.concatenate(scores)
    return rows if rows.shape == (n_rows,) else None


def _compiled(model: keras.Model) -> list[keras.metrics.Metric]:
    return [inner for metric in model.metrics for inner in (metric, *getattr(metric, "metrics", []))]
