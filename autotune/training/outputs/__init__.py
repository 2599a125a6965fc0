"""Outputs of trained networks: the kind of task, predictions, and the figures that an ended trial writes.

These modules can be imported without Keras.

purpose     Decide from its loss, metrics and data whether an output of a model predicts classes or a number
predicting  Predictions of a model: classes, confusion matrix, and the rows with the largest mistakes
comparing   Compare each output of a model with its targets: classes, labels, numbers, forecasts, masks, images
findings    The `Findings` about one output of a model, with single rows as examples
finding     Compute the findings about a model on some rows
describing  What findings show, in words: metrics, what an example is, its features
drawing     Figures of findings
shown       The files that an ended Keras trial writes for people: history, learning curves, pictures of its outputs
"""

from autotune.training.outputs.comparing import named_outputs
from autotune.training.outputs.describing import COLOURS, described, in_features, in_numbers, most_wrong
from autotune.training.outputs.drawing import Picture, example_pictures, main_pictures
from autotune.training.outputs.finding import find
from autotune.training.outputs.findings import Example, Findings, InputRow, Reasons
from autotune.training.outputs.shown import HISTORY, leave_history, leave_pictures, leaving_history

__all__ = [
    "COLOURS",
    "HISTORY",
    "Example",
    "Findings",
    "InputRow",
    "Picture",
    "Reasons",
    "described",
    "example_pictures",
    "find",
    "in_features",
    "in_numbers",
    "leave_history",
    "leave_pictures",
    "leaving_history",
    "main_pictures",
    "most_wrong",
    "named_outputs",
]
