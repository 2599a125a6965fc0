"""Measure the metrics of a trained model on rows that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset
from autotune.errors import UsageError
from autotune.keras_inside import rows_of
from autotune.training.fitting import (
    Batches,
    build_metrics,
    can_be_evaluated,
    compiled_metrics,
    rows_at_a_time,
    scores_of,
)


@dataclass(frozen=True, eq=False)
class Measurement:
    """The metrics of a model on some rows.

    Attributes:
        metric: The name of the metric: the requested one, or the loss if the model does not have it.
        value: The metric over all rows.
        rows: The metric of each row, shape (n,), float64; None if the metric is not a mean over rows.
        others: The other metrics that the model was compiled with, by name.
    """

    metric: str
    value: float
    rows: npt.NDArray[np.float64] | None
    others: Mapping[str, float]


def measure(
    model: keras.Model,
    data: Dataset,
    metric: str,
    one_hot: bool = False,
    score: Callable[[keras.Model, Dataset], Mapping[str, Any]] | None = None,
) -> Measurement:
    """Measure the metrics that a model was compiled with.

    Args:
        model: A compiled model.
        data: The rows.
        metric: The metric, by Keras's name without "val_". A metric that a callback computes is not in the model.
        one_hot: Whether it was trained on one-hot targets.
        score: The study file's `score`, whose scores are measured too.
    """
    batches = Batches(data, rows_at_a_time(model, data), one_hot=one_hot)
    found: dict[str, Any] = {}
    if can_be_evaluated(model):
        build_metrics(model, batches)
        found = model.evaluate(batches.for_keras(), verbose=0, return_dict=True)
    numbers = {name: float(np.reshape(value, ())) for name, value in found.items() if np.size(value) == 1}
    numbers |= scores_of(score, model, data) if score else {}
    if not numbers:
        raise UsageError(
            "the model cannot be measured: it has no loss, no test step, and the study has no `score`.",
            "The test rows are measured by the model's own metrics, or by the study file's `score`.",
            "Give the study a `score`, or the model a test_step.",
        )
    name = metric if metric in numbers else "loss" if "loss" in numbers else next(iter(numbers))
    value = numbers.pop(name)
    rows = _by_row(model, batches, len(data), name)
    if rows is not None and not np.isclose(rows.mean(), value, rtol=1e-3, atol=1e-5):
        rows = None  # rows have weights
    return Measurement(name, value, rows, numbers)


def _by_row(model: keras.Model, batches: Batches, n_rows: int, name: str) -> npt.NDArray[np.float64] | None:
    metric = next((one for one in compiled_metrics(model) if one.name == name), None)
    if not isinstance(metric, keras.metrics.MeanMetricWrapper):
        return None
    scores = []
    for number in range(len(batches)):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batches[number])
        try:
            predicted = model(x, training=False)
        except NotImplementedError:  # it has no `call`
            return None
        if y is None or keras.tree.is_nested(y) or keras.tree.is_nested(predicted):
            return None  # the metric is that of one of several outputs
        scores.append(np.asarray(rows_of(metric, y, predicted), dtype=np.float64))
    rows = np.concatenate([one.reshape(len(one), -1).mean(axis=1) for one in scores])
    return rows if rows.shape == (n_rows,) else None
