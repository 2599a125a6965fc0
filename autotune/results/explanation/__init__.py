"""Explanations of a model: confusion matrix, mistakes, and attributions of single rows.

record      The `Explanation` of a model, and its file on disk
examples    Compute the findings about a model on some rows: confusion matrix, examples, attributions
explaining  Explain the winner's model, or the best one, on its validation rows, and keep the result
picturing   Figures of an explanation, for a page and as PNG files
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
