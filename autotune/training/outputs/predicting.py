"""Predictions of a model: classes, confusion matrix, and the rows with the largest mistakes.

Shapes: n rows, k classes; outputs are (n, k), or (n, 1) or (n,) for a model with a single output.
Only a call of `predict` needs Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset
from autotune.errors import UsageError

if TYPE_CHECKING:
    import keras

_ROUNDING = 1e-5  # a float32 softmax may exceed 1 by this much

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


def predict(model: keras.Model, data: Dataset) -> _Floats:
    """Return the model's output for each row, without dropout and augmentation.

    Args:
        model: A model with one output.
        data: The rows; read batch by batch.

    Returns:
        Shape (n, k), in the order of the rows.

    Raises:
        UsageError: If it has several outputs.
    """
    from autotune.training.fitting import Batches, rows_at_a_time

    # This takes two thirds of the time of an eager call.
    found = model.predict(Batches(data, rows_at_a_time(model, data)).for_keras(), verbose=0)
    if isinstance(found, (list, tuple, dict)):
        raise UsageError(
            f"the model has {len(found)} outputs.",
            "A model must have one output, to be compared with the row's target.",
            "Build the model with a single output.",
        )
    outputs: _Floats = np.asarray(found).reshape(len(data), -1).astype(np.float64)
    return outputs


def as_probabilities(outputs: npt.NDArray[Any]) -> _Floats:
    """Return the probability of each class.

    If all outputs lie in [0, 1], they are probabilities already. Otherwise they are logits, and this is their softmax,
    or the sigmoid of a single output.

    Returns:
        Shape (n, k); (n, 2) for a single output, which is the probability of class 1.
    """
    columns = _columns(outputs)
    is_probability = bool(((columns >= -_ROUNDING) & (columns <= 1 + _ROUNDING)).all())
    if columns.shape[1] == 1:
        chance = columns if is_probability else (1 + np.tanh(columns / 2)) / 2
        return np.hstack([1 - chance, chance])
    if is_probability:
        return columns
    odds = np.exp(columns - columns.max(axis=1, keepdims=True))
    found: _Floats = odds / odds.sum(axis=1, keepdims=True)
    return found


def predicted_classes(outputs: npt.NDArray[Any]) -> _Ints:
    """Return the predicted class of each row, shape (n,); see `as_probabilities` for a single output."""
    classes: _Ints = as_probabilities(outputs).argmax(axis=1)
    return classes


def confusion_matrix(true: npt.NDArray[Any], predicted: npt.NDArray[Any], n_classes: int) -> _Ints:
    """Count how often each true class is predicted as each class.

    Args:
        true: The true classes, shape (n,), integers in [0, n_classes - 1].
        predicted: The predicted classes, with the same shape and range.
        n_classes: Number of classes.

    Returns:
        Shape (n_classes, n_classes): a row for each true class, a column for each predicted one.

    Example:
        >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
        [[1, 0], [1, 1]]
    """
    matrix = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(matrix, (true.astype(np.int64), predicted.astype(np.int64)), 1)
    return matrix


def confident_mistakes(true: npt.NDArray[Any], probabilities: _Floats, n: int) -> _Ints:
    """Return the positions of at most `n` wrongly predicted rows, the mistake with the highest probability first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != true)
    surest: _Ints = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:n]
    return surest


def typical_hits(true: npt.NDArray[Any], probabilities: _Floats, n: int) -> _Ints:
    """Return the positions of at most `n` correctly predicted rows, from as many classes as possible.

    Within each class the row whose probability is closest to the median comes first, so that neither the easiest nor
    the hardest row is shown.
    """
    hits = np.flatnonzero(probabilities.argmax(axis=1) == true)
    sureness = probabilities.max(axis=1)
    rank = np.zeros(len(true), dtype=np.int64)
    for label in np.unique(true[hits]):
        own = hits[true[hits] == label]
        off = np.abs(sureness[own] - np.median(sureness[own]))
        rank[own[np.argsort(off, kind="stable")]] = np.arange(len(own))
    ordered: _Ints = hits[np.lexsort((true[hits], rank[hits]))]
    n_classes = int((rank[ordered] == 0).sum())
    # If there are more classes than rows to show, the shown classes are spread over all of them.
    chosen = np.linspace(0, n_classes - 1, n).round().astype(np.int64) if n_classes > n else np.arange(n)
    return ordered[chosen[: len(ordered)]]


def largest_errors(true: npt.NDArray[Any], predicted: npt.NDArray[Any], n: int) -> _Ints:
    """Return the positions of the `n` rows with the largest absolute errors, the largest first."""
    worst: _Ints = np.argsort(-np.abs(true - predicted), kind="stable")[:n]
    return worst


def _columns(outputs: npt.NDArray[Any]) -> _Floats:
    columns: _Floats = np.asarray(outputs, dtype=np.float64).reshape(len(outputs), -1)
    return columns
