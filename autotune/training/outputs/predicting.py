"""What a model predicts: which class, how often one is taken for another, and where it is most wrong.

Shapes: n rows, k classes; outputs are (n, k), or (n, 1) or (n,) of a model with a single output.
Nothing here but `predict` needs Keras, and that only when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.data import Dataset
from autotune.errors import UsageError

if TYPE_CHECKING:
    import keras

_BATCH_SIZE = 512
_ROUNDING = 1e-5  # by how much a float32 softmax may be above 1

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


def predict(model: keras.Model, data: Dataset) -> _Floats:
    """Return what a model puts out for each row, as in use: without dropout and augmentation.

    Args:
        model: A model with one output.
        data: The rows; read batch by batch.

    Returns:
        Shape (n, k), in the order of the rows.

    Raises:
        UsageError: If it has several outputs.
    """
    from autotune.training.fitting import Batches

    found = model.predict(Batches(data, _BATCH_SIZE), verbose=0)  # compiled, which takes two thirds of the time
    if isinstance(found, (list, tuple, dict)):
        raise UsageError(
            f"the model has {len(found)} outputs.",
            "One class or one number is compared with the row's target.",
            "Build the model with a single output.",
        )
    outputs: _Floats = np.asarray(found).reshape(len(data), -1).astype(np.float64)
    return outputs


def as_probabilities(outputs: npt.NDArray[Any]) -> _Floats:
    """Return how sure a model is of each class.

    Outputs that all lie in [0, 1] are probabilities already; others are logits, of which this is the softmax, or the
    sigmoid where there is one output only.

    Returns:
        Shape (n, k); (n, 2) of a single output, which is that of class 1.
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
    """Return the class that a model takes each row for, shape (n,); see `as_probabilities` for a single output."""
    classes: _Ints = as_probabilities(outputs).argmax(axis=1)
    return classes


def confusion_matrix(true: npt.NDArray[Any], predicted: npt.NDArray[Any], n_classes: int) -> _Ints:
    """Count how often each class is taken for each.

    Args:
        true: The classes, shape (n,), integers in [0, n_classes - 1].
        predicted: What they are taken for, likewise.
        n_classes: How many classes there are.

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
    """Return the positions of at most `n` rows that a model is wrong about, the surest mistake first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != true)
    surest: _Ints = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:n]
    return surest


def typical_hits(true: npt.NDArray[Any], probabilities: _Floats, n: int) -> _Ints:
    """Return the positions of at most `n` rows that a model is right about, of as many classes as possible.

    Of each class that is taken first about which the model is as sure as of half of the class: neither the plainest
    row nor the hardest one.
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
    # With more classes than rows to show: not the first classes only.
    chosen = np.linspace(0, n_classes - 1, n).round().astype(np.int64) if n_classes > n else np.arange(n)
    return ordered[chosen[: len(ordered)]]


def largest_errors(true: npt.NDArray[Any], predicted: npt.NDArray[Any], n: int) -> _Ints:
    """Return the positions of the `n` numbers that are predicted worst, the worst first."""
    worst: _Ints = np.argsort(-np.abs(true - predicted), kind="stable")[:n]
    return worst


def _columns(outputs: npt.NDArray[Any]) -> _Floats:
    columns: _Floats = np.asarray(outputs, dtype=np.float64).reshape(len(outputs), -1)
    return columns
