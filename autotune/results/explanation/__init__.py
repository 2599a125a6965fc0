"""Explanations of a model: the findings about its outputs, and attributions of single rows.

record       The `Explanation` of a model, and its file on disk
attributing  Add to the examples of findings what the model looks at: the attributions of each of its inputs
explaining   Explain the winner's model, or the best one, on its validation rows, and keep the result
picturing    The pictures of an explanation, as PNG files
"""

from autotune.results.explanation.explaining import explain, read_explanation
from autotune.results.explanation.picturing import pictures_of, write_pictures
from autotune.results.explanation.record import Explanation

__all__ = ["Explanation", "explain", "pictures_of", "read_explanation", "write_pictures"]
