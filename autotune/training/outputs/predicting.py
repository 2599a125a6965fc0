"""Predictions of a model: classes, confusion matrix, and the rows with the largest mistakes.

Shapes: n rows, k classes; outputs are (n, k), or (n, 1) or (n,) for a model with a single output. In masks a row has a
class for each pixel, (n, height, width).
Only a call of `predict` needs Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset

if TYPE_CHECKING:
    import keras

_OWN_UNITS = 8  # columns
_ROUNDING = 1e-5  # a float32 softmax may exceed 1 by this much

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


def predict(model: keras.Model, data: Dataset) -> Any:
    """Return the model's outputs for all rows, without dropout and augmentation.

    Args:
        model: The model.
        data: The rows; read batch by batch.

    Returns:
        An array of shape (n, ...) in the order of the rows, or a nest of arrays for several outputs.
    """
    from autotune.training.fitting import Batches, rows_at_a_time

    # This takes two thirds of the time of an eager call.
    return model.predict(Batches(data, rows_at_a_time(model, data)).for_keras(), verbose=0)


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
    """Return the predicted class of each row, or of each pixel of a row.

    Args:
        outputs: Probabilities or logits, shape (n, ..., k); k is 1 for a single output, see `as_probabilities`,
            which may also have the shape (n,).

    Returns:
        Shape (n, ...).
    """
    outputs = outputs[:, np.newaxis] if outputs.ndim == 1 else outputs
    if outputs.shape[-1] > 1:
        likeliest: _Ints = outputs.argmax(axis=-1)
        return likeliest
    is_probability = bool(((outputs >= -_ROUNDING) & (outputs <= 1 + _ROUNDING)).all())
    return (outputs[..., 0] > (0.5 if is_probability else 0.0)).astype(np.int64)


def confusion_matrix(true: npt.NDArray[Any], predicted: npt.NDArray[Any], n_classes: int) -> _Ints:
    """Count how often each true class is predicted as each class.

    Args:
        true: The true classes, shape (n,), integers in [0, n_classes - 1]; for masks (n, ...). Places below 0 are
            left out.
        predicted: The predicted classes, with the same shape, in the same range.
        n_classes: Number of classes.

    Returns:
        Shape (n_classes, n_classes): a row for each true class, a column for each predicted one.

    Example:
        >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
        [[1, 0], [1, 1]]
    """
    matrix = np.zeros((n_classes, n_classes), dtype=np.int64)
    counts = true >= 0
    np.add.at(matrix, (true[counts].astype(np.int64), predicted[counts].astype(np.int64)), 1)
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
    """Return the positions of the `n` rows with the largest errors, the largest first.

    The error of a row is the mean of its absolute errors. A few columns may have units of their own: there each error
    is divided by the standard deviation of its column. More columns are mostly parts of one thing, such as pixels.

    Args:
        true: The true numbers, shape (n,), (n, columns) or (n, ...).
        predicted: The predicted numbers, with the same shape.
        n: How many rows.
    """
    errors = np.abs(true - predicted)
    if true.ndim == 2 and true.shape[1] <= _OWN_UNITS:
        errors = errors / np.where(true.std(axis=0) > 0, true.std(axis=0), 1.0)
    errors = errors.reshape(len(true), -1).mean(axis=1)
    worst: _Ints = np.argsort(-errors, kind="stable")[:n]
    return worst


def intersection_over_union(confusion: _Ints) -> _Floats:
    """Return for each class the pixels where it is true and predicted, divided by those where it is one of both.

    Args:
        confusion: Counts of pixels, shape (k, k), from `confusion_matrix`.

    Returns:
        Shape (k,), in [0, 1]; NaN for a class that no pixel has.

    Example:
        >>> intersection_over_union(np.array([[6, 1], [1, 2]])).tolist()
        [0.75, 0.5]
    """
    both = np.diag(confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - both
    shares: _Floats = np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)
    return shares


def counts_of_labels(true: npt.NDArray[Any], probabilities: _Floats) -> _Ints:
    """Count for each label the rows that have it and are found, that have it and are missed, and that are false.

    Args:
        true: Whether a row has a label, shape (n, labels), 0 or 1.
        probabilities: Of each label, with the same shape; a label is predicted above 0.5.

    Returns:
        Shape (labels, 3).
    """
    has, said = true > 0, probabilities > 0.5
    counts: _Ints = np.stack([(has & said).sum(0), (has & ~said).sum(0), (~has & said).sum(0)], axis=1)
    return counts


def mask_scores(true: npt.NDArray[Any], predicted: npt.NDArray[Any], n_classes: int) -> _Floats:
    """Return the intersection over union of each row's mask: its mean over the classes that the row has.

    Of two classes, only class 1 counts, because the background is easy. A row without the class gets 1 if none is
    predicted.

    Args:
        true: The true classes of pixels, shape (n, ...); those below 0 are left out.
        predicted: The predicted classes, with the same shape.
        n_classes: Number of classes.

    Returns:
        Shape (n,), in [0, 1].
    """
    total, count = np.zeros(len(true)), np.zeros(len(true))
    counts = true.reshape(len(true), -1) >= 0
    for label in range(1 if n_classes == 2 else 0, n_classes):
        here, there = ((one.reshape(len(one), -1) == label) & counts for one in (true, predicted))
        either = (here | there).sum(axis=1)
        total += (here & there).sum(axis=1) / np.maximum(either, 1)
        count += either > 0
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)


def _columns(outputs: npt.NDArray[Any]) -> _Floats:
    columns: _Floats = np.asarray(outputs, dtype=np.float64).reshape(len(outputs), -1)
    return columns
