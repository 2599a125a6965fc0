"""Compare each output of a model with its targets: classes, labels, numbers, forecasts, masks, images.

What is not covered: targets of different lengths (transcripts, boxes), and outputs of another shape than their targets.
For these a `Compared` says in one line why there is nothing to show.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset, RaggedArray, WindowArray, leaves
from autotune.training.outputs.predicting import (
    as_probabilities,
    confident_mistakes,
    largest_errors,
    mask_scores,
    predict,
    predicted_classes,
    typical_hits,
)
from autotune.training.outputs.purpose import ignored_label, purpose_of

if TYPE_CHECKING:
    import keras

Kind = Literal["classes", "labels", "numbers", "forecast", "mask", "image", "nothing"]

_MOST_NUMBERS = 2**23  # of targets that are compared: 8,192 masks of 32x32, or 128 of 256x256; all fit into memory
_MOST_OUTPUTS = 2**25  # of numbers that the model puts out for them: 0.25 GiB in float64
_MOST_BYTES = 2**28  # of rows that a source reads at once
_MOST_READ = 1000  # rows that a source reads again, which may be slow
_MOST_CLASSES = 1000  # their confusion matrix has a million cells, and nobody reads it
_NOTHING = np.zeros((0,))

_Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Compared:
    """The targets and predictions of one output, for n rows.

    Attributes:
        output: The name of the output; "" for the only one.
        kind: What it predicts. "classes": one class. "labels": several labels that are true or false. "numbers": one or
            more numbers. "forecast": steps of a series. "mask": a class for each pixel, or for each part of a sequence.
            "image": numbers for each pixel. "nothing": nothing that can be compared.
        true: The targets. Classes: shape (n,), int64. Labels: (n, labels), int64. Numbers: (n, columns), float64.
            Forecast: (n, steps, columns), float64. Mask: (n, ...), int64, -1 where it is ignored. Image: (n, ...), as
            they are.
        predicted: The predictions, in the same shape; but for classes the probabilities, (n, k), and for labels the
            probability of each label.
        n_classes: Number of classes, or of labels; 0 for numbers.
        why: For "nothing" the reason, a sentence; else "".
    """

    output: str
    kind: Kind
    true: _Array
    predicted: _Array
    n_classes: int = 0
    why: str = ""


def compare(model: keras.Model, data: Dataset, one_hot: bool = False) -> tuple[Compared, ...]:
    """Compare each output of a model with its targets, in the order of their names.

    Args:
        model: The model.
        data: The rows, e.g. those of `rows_to_compare`.
        one_hot: Whether it was trained on one-hot labels.
    """
    if any(isinstance(leaf, RaggedArray) for _, leaf in leaves(data.y)):
        return (_nothing("", "the targets of the rows have different lengths: only a `score` can compare them."),)
    if data.y is None and not _has_own_shape(data):
        return (_nothing("", "the rows have no targets to compare the outputs with."),)
    try:
        found = predict(model, data)
    except NotImplementedError:
        return (_nothing("", "the model has no `call` that returns its outputs."),)
    if data.y is None:
        return (_reconstruction(data.x, found),)
    outputs, targets = named_outputs(model, found), named_outputs(model, data.y)
    if len(outputs) == len(targets) == 1:
        targets = dict(zip(outputs, targets.values(), strict=True))
    return tuple(
        _compared(model, data, one_hot, name, targets[name], output)
        if name in targets
        else _nothing(name, "the rows have no targets for this output.")
        for name, output in sorted(outputs.items())
    )


def named_outputs(model: keras.Model, nest: Any) -> dict[str, Any]:
    """Return the outputs of a model, or their targets, by the names of the outputs; "" is the name of the only one."""
    if isinstance(nest, Mapping):
        return {str(name): part for name, part in nest.items()}
    if not isinstance(nest, (list, tuple)):
        return {"": nest}
    names = list(getattr(model, "output_names", None) or [])
    if len(names) != len(nest):
        names = [f"output {number}" for number in range(len(nest))]
    return dict(zip(names, nest, strict=True))


def rows_to_compare(model: keras.Model, data: Dataset) -> npt.NDArray[np.int64]:
    """Return the positions of the rows to compare: all, or evenly spread ones where there is much to read.

    Targets and outputs may be large. A source reads each row once more, with its inputs.
    """
    nest = data.input_shape if data.target_shape is None else data.target_shape
    size = sum(int(np.prod([length or 1 for length in shape])) for shape in _shapes(nest))
    n = len(data) if size <= 1 else min(len(data), max(1, _MOST_NUMBERS // size))
    if data.is_read_each_time:
        n = min(n, max(1, min(_MOST_READ, _MOST_BYTES // data.row_bytes)))
    n = min(n, max(1, _MOST_OUTPUTS // max(1, _output_size(model, data))))
    return np.linspace(0, len(data) - 1, n).astype(np.int64)


def _output_size(model: keras.Model, data: Dataset) -> int:
    """Return how many numbers a model puts out for a row: those of the first one, where its layers do not say it."""
    shapes = [tuple(one.shape[1:]) for one in getattr(model, "outputs", None) or []]
    if not shapes or any(None in shape for shape in shapes):
        shapes = []
        with contextlib.suppress(NotImplementedError):  # as in `compare`
            shapes = [np.shape(one)[1:] for _, one in leaves(predict(model, data.subset([0])))]
    return sum(math.prod(shape) for shape in shapes)


def worst_rows(one: Compared, n: int) -> npt.NDArray[np.int64]:
    """Return the positions of at most `n` rows: the surest mistakes, the largest errors, or the worst masks first."""
    if one.kind == "classes":
        return confident_mistakes(one.true, one.predicted, n)
    if one.kind == "labels":
        error = np.abs(one.predicted - one.true).max(axis=1)
        return _order(-error)[: min(n, int((error > 0.5).sum()))]
    if one.kind == "mask":
        return _order(mask_scores(one.true, one.predicted, one.n_classes))[:n]
    return largest_errors(one.true, one.predicted, n)


def typical_rows(one: Compared, n: int) -> npt.NDArray[np.int64]:
    """Return the positions of at most `n` rows that stand for the others.

    Of classes these are typical hits. Of masks, images and forecasts they are spread from the median row to the best.
    """
    if one.kind == "classes":
        return typical_hits(one.true, one.predicted, n)
    if one.kind not in ("mask", "image", "forecast"):
        return np.zeros(0, np.int64)
    order = worst_rows(one, len(one.true))
    typical: npt.NDArray[np.int64] = order[
        np.linspace(len(order) // 2, len(order) - 1, min(n, len(order))).astype(np.int64)
    ]
    return typical


def _order(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    order: npt.NDArray[np.int64] = np.argsort(values, kind="stable")
    return order


def _shapes(nest: Any) -> list[tuple[int | None, ...]]:
    """Return the shapes in a nest of shapes; tuples of numbers are shapes, and no nests."""
    if isinstance(nest, tuple) and all(isinstance(one, (int, type(None))) for one in nest):
        return [nest]
    parts = nest.values() if isinstance(nest, Mapping) else nest
    return [shape for part in parts for shape in _shapes(part)]


def _compared(model: keras.Model, data: Dataset, one_hot: bool, name: str, target: Any, output: Any) -> Compared:
    if isinstance(output, (Mapping, list, tuple)) or isinstance(target, (Mapping, list, tuple)):
        return _nothing(name, "it is a nest of several arrays.")
    true, predicted = np.asarray(target), _in_known_floats(np.asarray(output))
    if true.dtype.kind not in "iufb":
        return _nothing(name, "its targets are words.")
    if np.shape(predicted)[:1] != (len(true),):
        return _nothing(name, f"for {len(true):,} rows it has the shape {predicted.shape}: no output for each row.")
    is_binary = bool(np.isin(true, (0, 1)).all())
    if true.shape[1:] in ((), (1,)):
        return _of_one_value(model, data, one_hot, name, true.reshape(-1), predicted)
    if is_binary and true.shape[-1] > 1 and predicted.shape == true.shape and (true.sum(axis=-1) == 1).all():
        return _of_parts(name, true.argmax(axis=-1), predicted)
    if is_binary and true.ndim == 2 and predicted.shape == true.shape and _is_of_classes(model, 1, 2, name):
        found = as_probabilities(predicted.reshape(-1))[:, 1].reshape(true.shape)
        return Compared(name, "labels", true.astype(np.int64), found, true.shape[1])
    ignored = ignored_label(model, predicted.shape[-1], name) if predicted.ndim > 2 else None
    if true.dtype.kind in "iu" or np.isin(true, (0, 1, -1 if ignored is None else ignored)).all():
        parts = true[..., 0] if true.ndim > 2 and true.shape[-1] == 1 else true
        scores = predicted[..., np.newaxis] if predicted.shape == parts.shape else predicted
        fits, k = scores.shape[:-1] == parts.shape, scores.shape[-1]
        if fits and predicted.ndim > 2 and (k > 1 or (parts == 0).any()):  # else -1 and 1 are numbers, as for `hinge`
            parts = np.where((parts < 0) | (parts == ignored), -1, parts.astype(np.int64))
        elif fits and parts.min() < 0:
            fits = False
        if fits and _is_of_classes(model, k, int(parts.max()) + 1, name):
            return _of_parts(name, parts, scores)
        if fits and k > 1 and parts.max() >= k:
            return _nothing(name, f"its {k} outputs stand for the classes 0 to {k - 1}, and some targets are no such.")
    return _of_numbers(data, name, true, predicted)


def _is_of_classes(model: keras.Model, n_outputs: int, n_classes: int, name: str) -> bool:
    return purpose_of(model, n_outputs, max(2, n_classes), False, name) == "classes"


def _of_one_value(
    model: keras.Model, data: Dataset, one_hot: bool, name: str, true: _Array, predicted: _Array
) -> Compared:
    columns = predicted.reshape(len(predicted), -1).astype(np.float64)
    labels, n_classes = data.labels, data.n_classes
    is_label = true.dtype.kind in "iub" and true.min() >= 0
    is_float_label = true.dtype.kind == "f" and bool(np.isin(true, (0, 1)).all())
    if labels is None and (is_label or (is_float_label and _is_of_classes(model, columns.shape[1], 2, name))):
        labels = true.astype(np.int64)
        n_classes = max(2, int(labels.max()) + 1)
    purpose = purpose_of(model, columns.shape[1], n_classes, one_hot, name)
    if purpose == "something else":
        return _nothing(
            name,
            f"the model puts out {columns.shape[1]} number(s) for each row, and neither its loss nor its metrics say "
            "whether these stand for the classes or for the target itself. Compile it with one of Keras's losses, or "
            'with a metric that tells: metrics=["accuracy"] for classes, metrics=["mae"] for a number.',
        )
    if labels is None or n_classes is None or purpose == "a number":
        return Compared(name, "numbers", true.astype(np.float64)[:, np.newaxis], columns[:, :1])
    if max(n_classes, columns.shape[1]) > _MOST_CLASSES:
        return _of_many_classes(name, max(n_classes, columns.shape[1]))
    probabilities = as_probabilities(columns)
    return Compared(name, "classes", labels.astype(np.int64), probabilities, max(n_classes, probabilities.shape[1]))


def _of_parts(name: str, true: _Array, scores: _Array) -> Compared:
    """Compare classes, (n, ...), -1 where they are ignored, with a score for each class, (n, ..., k)."""
    n_classes = max(2, scores.shape[-1], int(true.max()) + 1)
    if n_classes > _MOST_CLASSES:
        return _of_many_classes(name, n_classes)
    if true.ndim == 1:
        return Compared(name, "classes", true.astype(np.int64), as_probabilities(scores), n_classes)
    return Compared(name, "mask", true.astype(np.int64), predicted_classes(scores), n_classes)


def _of_numbers(data: Dataset, name: str, true: _Array, predicted: _Array) -> Compared:
    if _without_ones(true) != _without_ones(predicted):
        shapes = f"the targets of a row have the shape {true.shape[1:]}, and its outputs {predicted.shape[1:]}"
        return _nothing(name, f"{shapes}: only a `score` can compare them.")
    predicted = predicted.reshape(true.shape)
    if _is_of_series(data) and true.ndim <= 3:
        steps = (*true.shape[:2], -1)
        return Compared(
            name, "forecast", true.reshape(steps).astype(np.float64), predicted.reshape(steps).astype(np.float64)
        )
    if true.ndim == 2:
        return Compared(name, "numbers", true.astype(np.float64), predicted.astype(np.float64))
    if true.ndim > 4:
        return _nothing(name, f"the targets of a row have the shape {true.shape[1:]}, which is no picture.")
    return Compared(name, "image", true, predicted)


def _is_of_series(data: Dataset) -> bool:
    """Tell whether the targets are the steps after windows of a series, as `autotune.windows` cuts them."""
    return isinstance(data.forms.y, WindowArray)


def _has_own_shape(data: Dataset) -> bool:
    """Tell whether the rows may be what an autoencoder should put out: one array of numbers."""
    x = data.x
    return isinstance(x, np.ndarray) and 2 <= x.ndim <= 4 and x.dtype.kind in "fiub"


def _reconstruction(x: _Array, found: Any) -> Compared:
    """Compare rows with themselves: an autoencoder has no other targets."""
    if not isinstance(found, np.ndarray) or found.shape != x.shape:
        return _nothing("", "the rows have no targets to compare the outputs with.")
    found = _in_known_floats(found)
    if x.ndim == 2:
        return Compared("", "numbers", x.astype(np.float64), found.astype(np.float64))
    return Compared("", "image", x, found)


def _in_known_floats(array: _Array) -> _Array:
    """Return bfloat16, which NumPy neither converts by itself nor reads back from a file, as float32."""
    return array if array.dtype.kind != "V" else array.astype(np.float32)


def _without_ones(array: _Array) -> tuple[int, ...]:
    return (len(array), *(length for length in array.shape[1:] if length != 1))


def _of_many_classes(name: str, n_classes: int) -> Compared:
    return _nothing(name, f"it has {n_classes:,} classes, and at most {_MOST_CLASSES:,} are shown.")


def _nothing(name: str, why: str) -> Compared:
    return Compared(name, "nothing", _NOTHING, _NOTHING, why=why)
