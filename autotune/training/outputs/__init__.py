"""Outputs of trained networks: the kind of task, predictions, and the figures that an ended trial writes.

These modules can be imported without Keras.

purpose     Decide from its loss, metrics and data whether an output of a model predicts classes or a number
predicting  Predictions of a model: classes, confusion matrix, and the rows with the largest mistakes
comparing   Compare each output of a model with its targets: classes, labels, numbers, forecasts, masks, images
findings    The `Findings` about one output of a model, with single rows as examples
finding     Compute the findings about a model on some rows
drawing     Figures of findings, and what they show in words
shown       The files that an ended Keras trial writes for people: history, learning curves, pictures of its outputs
"""

from autotune.training.outputs.drawing import (
    COLOURS,
    Picture,
    described,
    example_pictures,
    in_features,
    in_numbers,
    main_pictures,
    most_wrong,
)
from autotune.training.outputs.finding import find
from autotune.training.outputs.findings import Example, Findings, Given, Reasons
from autotune.training.outputs.shown import HISTORY, leave_confusion, leave_history, leaving_history

__all__ = [
    "COLOURS",
    "HISTORY",
    "Example",
    "Findings",
    "Given",
    "Picture",
    "Reasons",
    "described",
    "example_pictures",
    "find",
    "in_features",
    "in_numbers",
    "leave_confusion",
    "leave_history",
    "leaving_history",
    "main_pictures",
    "most_wrong",
]
