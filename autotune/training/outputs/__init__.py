"""Outputs of trained networks: the kind of task, predictions, and the figures that an ended trial writes.

These modules can be imported without Keras.

purpose     Decide from its loss, metrics and data whether a model predicts classes or a number
predicting  Predictions of a model: classes, confusion matrix, and the rows with the largest mistakes
shown       The files that an ended Keras trial writes for people: history, learning curves, confusion matrix
"""

from autotune.training.outputs.predicting import (
    as_probabilities,
    confident_mistakes,
    confusion_matrix,
    largest_errors,
    predict,
    typical_hits,
)
from autotune.training.outputs.purpose import purpose_of
from autotune.training.outputs.shown import HISTORY, leave_confusion, leave_history, leaving_history

__all__ = [
    "HISTORY",
    "as_probabilities",
    "confident_mistakes",
    "confusion_matrix",
    "largest_errors",
    "leave_confusion",
    "leave_history",
    "leaving_history",
    "predict",
    "purpose_of",
    "typical_hits",
]
