"""What a network is for, what it predicts, and what is left of that to look at.

Nothing here needs Keras to be imported.

purpose     What a model is for, asked from its loss and its data
predicting  What a model predicts: which class, how often one is taken for another, and where it is most wrong
shown       What a Keras trial that has ended leaves to look at
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
