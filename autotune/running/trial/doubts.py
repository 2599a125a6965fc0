"""Warnings about settings that are allowed but look like mistakes, given before the first trial."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset
from autotune.study import StudySpec

_MOST_TARGETS = 2**24  # numbers that are sorted, in memory
_MOST_CLASSES = 100  # more different whole numbers are probably counts or ages, not labels

# Words in the names of Keras's losses and metrics.
_SMALL_IS_GOOD = {
    "loss",
    "error",
    "mae",
    "mse",
    "mape",
    "msle",
    "rmse",
    "crossentropy",
    "hinge",
    "divergence",
    "logcosh",
}
_LARGE_IS_GOOD = {
    "acc",
    "accuracy",
    "auc",
    "precision",
    "recall",
    "sensitivity",
    "specificity",
    "f1",
    "fbeta",
    "io",
    "r2",
}


def doubts_about(spec: StudySpec, data: Dataset) -> list[str]:
    """Return warnings that the user should read before a long run, one or two sentences each."""
    found = [_of_direction(spec.monitor or "", spec.direction), *(_of_targets(data) if spec.batch is None else [])]
    return [doubt for doubt in found if doubt]


def _of_direction(monitor: str, direction: str) -> str:
    words = set(monitor.lower().split("_"))
    is_small_good, is_large_good = bool(words & _SMALL_IS_GOOD), bool(words & _LARGE_IS_GOOD)
    if is_small_good == is_large_good or is_small_good == (direction == "minimize"):
        return ""
    size, opposite = ("smaller", "minimize") if is_small_good else ("larger", "maximize")
    return (
        f"the study is set to {direction} {monitor}, but {size} values of it usually are better: if that is a mistake, "
        f'stop the run, set direction="{opposite}", and start a study with a new name.'
    )


def _of_targets(data: Dataset) -> list[str]:
    if data.labels is not None and data.n_classes is not None:
        return _of_labels(data.name, np.unique(data.labels), data.n_classes)
    if data.is_read_each_time or not isinstance(y := data.y, np.ndarray) or y.size > _MOST_TARGETS:
        return []
    values = np.unique(y)
    if len(values) == 1:
        return [f"every target of {data.name!r} is {values[0]:g}: there is nothing to predict."]
    if y.ndim == 1 and len(values) <= _MOST_CLASSES and np.array_equal(values, np.arange(len(values))):
        return [
            f"the targets of {data.name!r} are whole floats from 0 to {len(values) - 1}, and are treated as numbers "
            "to predict: if they are labels of classes, give y.astype('int64')."
        ]
    return []


def _of_labels(name: str, labels: npt.NDArray[Any], n_classes: int) -> list[str]:
    if len(labels) == 1:
        return [f"every row of {name!r} has the label {labels[0]}: there is nothing to tell apart."]
    if n_classes > _MOST_CLASSES and 2 * len(labels) < n_classes:
        return [
            f"the labels of {name!r} are {len(labels):,} whole numbers up to {labels[-1]:,}, and are treated as "
            "classes: if they are numbers to predict, give y.astype('float32')."
        ]
    return []
