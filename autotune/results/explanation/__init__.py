"""What a model looks at, and where it is wrong.

record      What a model sees, as it is kept on disk: what it confuses, and what it looks at in single rows
examples    What a model does on rows that it was not trained on: what it confuses, where, and what it looks at there
explaining  What the model that stands for a study's answer sees
picturing   Pictures of what a model sees: figures for a page, and files beside the record
"""

from autotune.results.explanation.explaining import explain, read_explanation
from autotune.results.explanation.picturing import described, explanation_figures, in_features, write_pictures
from autotune.results.explanation.record import Example, Explanation, Findings, Reasons

__all__ = [
    "Example",
    "Explanation",
    "Findings",
    "Reasons",
    "described",
    "explain",
    "explanation_figures",
    "in_features",
    "read_explanation",
    "write_pictures",
]
