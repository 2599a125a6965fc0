"""Compute the findings about a model on some rows: confusion matrix, examples, attributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autotune.data import Dataset, axes_of, class_names_of, leaves, padded
from autotune.errors import UsageError
from autotune.results.explanation.record import Example, Findings, Reasons
from autotune.training.outputs import (
    as_probabilities,
    confident_mistakes,
    confusion_matrix,
    largest_errors,
    predict,
    purpose_of,
    typical_hits,
)

if TYPE_CHECKING:
    import keras

_RIGHT, _WRONG = 6, 12
_MOST_NUMBERS = 2000  # more points than that hide each other in a picture


def find(model: keras.Model, data: Dataset, positions: npt.NDArray[np.int64], one_hot: bool = False) -> Findings:
    """Compute the findings about a model on rows.

    Args:
        model: The model.
        data: Rows that it was not trained on.
        positions: The positions of these among the development rows, shape (n,).
        one_hot: Whether it was trained on one-hot labels.

    Raises:
        UsageError: If its loss and metrics do not tell that it predicts one class or one number.
    """
    true, n_classes = _true_classes(data)
    if true is None and data.target_shape not in ((), (1,)):
        raise UsageError(
            f"the targets of a row have the shape {data.target_shape}.",
            "Explanations are of models that predict one class or one number for each row.",
            "`autotune report` shows the learning curves and the confirmed result of every study.",
        )
    outputs = predict(model, data)
    purpose = purpose_of(model, outputs.shape[1], n_classes, one_hot or (true is not None and data.labels is None))
    if purpose == "something else":
        raise UsageError(
            f"the model puts out {outputs.shape[1]} number(s) for each row, and neither its loss nor its metrics say "
            "whether these stand for the classes or for the target itself.",
            "One output for each class, or a single number, is compared with the row's target.",
            'Compile it with one of Keras\'s losses, or with a metric that tells: metrics=["accuracy"] for classes, '
            'metrics=["mae"] for a number.',
        )
    if true is None or n_classes is None or purpose == "a number":
        return _of_numbers(outputs[:, 0], data, positions)
    probabilities = as_probabilities(outputs)
    n_classes = max(n_classes, probabilities.shape[1])
    hits = typical_hits(true, probabilities, _RIGHT)
    mistakes = confident_mistakes(true, probabilities, _WRONG)
    examples, why_not = _examples(model, data, true, positions, probabilities, np.concatenate([hits, mistakes]))
    return Findings(
        n_rows=len(data),
        class_names=class_names_of(data.name, n_classes),
        axes=axes_of(data.name),
        features=_features(data),
        confusion=confusion_matrix(true, probabilities.argmax(axis=1), n_classes),
        right=tuple(examples[: len(hits)]),
        wrong=tuple(examples[len(hits) :]),
        why_no_reasons=why_not,
    )


def _true_classes(data: Dataset) -> tuple[npt.NDArray[Any] | None, int | None]:
    """Return the class of each row and the number of classes, also of one-hot targets; None if rows have no classes."""
    if data.labels is not None:
        return data.labels, data.n_classes
    y = data.y
    is_table = isinstance(y, np.ndarray) and y.ndim == 2 and y.shape[1] > 1
    if is_table and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        return y.argmax(axis=1), y.shape[1]
    return None, None


def _shown_input(data: Dataset, chosen: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], str]:
    """Return what is shown of some rows, and why the model's reasons cannot be: "" if they can.

    Of several inputs one is shown: an image or a spectrogram if there is one, else a text, else the first.
    """
    x = data.arrays_at(chosen).x
    if isinstance(x, np.ndarray):
        return x, ""
    inputs = [padded(leaf) for _, leaf in leaves(x)]
    images = [one for one in inputs if one.ndim >= 3 and one.dtype.kind in "fiub"]
    texts = [one for one in inputs if one.dtype.kind == "U"]
    why = "the model has several inputs." if len(inputs) > 1 else "the rows have different lengths."
    return next(iter([*images, *texts, *inputs])), why


def _examples(
    model: keras.Model,
    data: Dataset,
    true_classes: npt.NDArray[Any],
    positions: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    chosen: npt.NDArray[np.int64],
) -> tuple[list[Example], str]:
    """Return the chosen rows with their attributions for the predicted class, or why there are none."""
    rows, why_none = _shown_input(data, chosen)
    true = true_classes[chosen]
    predicted = probabilities[chosen].argmax(axis=1)
    wrong = np.flatnonzero(predicted != true)
    asked = np.concatenate([np.arange(len(chosen)), wrong])  # mistakes twice: why this class, and why not the true one
    if why_none:
        views, why_not = _without_reasons(rows[asked]), why_none
    else:
        views, why_not = _views(model, rows[asked], np.concatenate([predicted, true[wrong]]), _baseline(data))
    for_true = {int(at): reasons for at, (_, reasons) in zip(wrong, views[len(chosen) :], strict=True)}
    examples = [
        Example(
            position=int(positions[row]),
            true=int(true[at]),
            predicted=int(predicted[at]),
            probability=float(probabilities[row].max()),
            row=np.asarray(rows[at]),
            words=views[at][0],
            for_predicted=views[at][1],
            for_true=for_true.get(at),
        )
        for at, row in enumerate(chosen)
    ]
    return examples, why_not


def _views(
    model: keras.Model, rows: npt.NDArray[Any], targets: npt.NDArray[np.int64], baseline: npt.ArrayLike
) -> tuple[list[tuple[tuple[str, ...], Reasons | None]], str]:
    """Return the words of each row, without padding, and its attributions; or None with the reason."""
    from autotune.training.inspection import integrated_gradients

    try:
        found = integrated_gradients(model, rows, targets, baseline)
    except UsageError as error:
        return _without_reasons(rows), error.happened
    views: list[tuple[tuple[str, ...], Reasons | None]] = []
    for at, values in enumerate(found.values):
        words = found.words[at] if found.words else ()
        shown = values[[word != "" for word in words]] if words else values
        views.append((tuple(filter(None, words)), Reasons(shown, float(found.start[at]), float(found.end[at]))))
    return views, ""


def _without_reasons(rows: npt.NDArray[Any]) -> list[tuple[tuple[str, ...], Reasons | None]]:
    is_text = rows.dtype.kind == "U" and rows.ndim == 1
    return [(tuple(str(row).split()) if is_text else (), None) for row in rows]


def _features(data: Dataset) -> tuple[str, ...]:
    """Return the names of the columns of a table; nothing if the rows are not rows of a table."""
    first = data.arrays_at([0]).x
    if not isinstance(first, np.ndarray) or first.ndim != 2 or first.dtype.kind not in "fiub":
        return ()
    return data.feature_names or tuple(f"feature {number}" for number in range(data.input_shape[0]))


def _baseline(data: Dataset) -> npt.ArrayLike:
    """Return a row with nothing in it: the smallest value there is, which is black, or silence.

    Text has one of its own. The columns of a table share no scale, and nothing in them stands for nothing: there it is
    the mean of each.
    """
    if data.input_shape == ():
        return 0.0
    if len(data.input_shape) == 1:
        total = sum(np.nansum(chunk.x, axis=0, dtype=np.float64) for chunk in data.chunks())
        n_known = sum((chunk.x == chunk.x).sum(axis=0) for chunk in data.chunks())
        mean: npt.NDArray[np.float64] = total / np.maximum(n_known, 1)
        return mean
    return min((float(np.nanmin(c.x)) for c in data.chunks() if (c.x == c.x).any()), default=0.0)


def _of_numbers(predicted: npt.NDArray[np.float64], data: Dataset, positions: npt.NDArray[np.int64]) -> Findings:
    true = data.y.reshape(-1).astype(np.float64)
    worst = largest_errors(true, predicted, _WRONG)
    shown = np.linspace(0, len(true) - 1, min(len(true), _MOST_NUMBERS)).astype(np.int64)
    return Findings(
        n_rows=len(data),
        class_names=(),
        axes=axes_of(data.name),
        features=_features(data),
        confusion=None,
        right=(),
        wrong=tuple(
            Example(int(positions[at]), float(true[at]), float(predicted[at]), None, np.asarray(row))
            for at, row in zip(worst, _shown_input(data, worst)[0], strict=True)
        ),
        true=true[shown],
        predicted=predicted[shown],
        why_no_reasons="the model predicts a number, and no class.",
    )
