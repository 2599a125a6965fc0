"""Compute the findings about a model on some rows: confusion matrices, errors, examples."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset, leaves
from autotune.data.sources import axes_of, class_names_of
from autotune.training.outputs.comparing import Compared, compare, rows_to_compare, typical_rows, worst_rows
from autotune.training.outputs.findings import Example, Findings, InputRow
from autotune.training.outputs.predicting import confusion_matrix, counts_of_labels

if TYPE_CHECKING:
    import keras

_RIGHT, _WRONG = 6, 12
_MOST_UNNAMED = 200  # columns; a longer row without their names is a recording, whose samples mean nothing one by one
_MOST_NUMBERS = 2000  # more points than that hide each other in a picture

_Array: TypeAlias = npt.NDArray[Any]


def find(
    model: keras.Model, data: Dataset, positions: npt.NDArray[np.int64], one_hot: bool = False
) -> tuple[Findings, ...]:
    """Compute the findings about each output of a model, without attributions.

    Args:
        model: The model.
        data: Rows that it was not trained on. Of large targets, such as masks, of large
            outputs, and of a source that reads its rows, some evenly spread rows are taken.
        positions: The positions of these among the development rows, shape (n,).
        one_hot: Whether it was trained on one-hot labels.
    """
    chosen = rows_to_compare(model, data)
    rows, positions = (data, positions) if len(chosen) == len(data) else (data.subset(chosen), positions[chosen])
    return tuple(_found(one, rows, positions) for one in compare(model, rows, one_hot))


def _found(one: Compared, data: Dataset, positions: npt.NDArray[np.int64]) -> Findings:
    if one.kind == "nothing":
        return Findings(one.output, one.kind, len(data), why_nothing=one.why)
    found = Findings(
        output=one.output,
        kind=one.kind,
        n_rows=len(data),
        class_names=_names(one, data),
        axes=axes_of(data.name),
        confusion=_counts(one),
        right=_examples(one, data, positions, typical_rows(one, _RIGHT)),
        wrong=_examples(one, data, positions, worst_rows(one, _WRONG)),
    )
    if one.kind == "numbers":
        shown = np.linspace(0, len(data) - 1, min(len(data), _MOST_NUMBERS)).astype(np.int64)
        columns = _most_varied(one.true)
        true, predicted = (numbers[shown][:, columns] for numbers in (one.true, one.predicted))
        return dataclasses.replace(found, columns=tuple(columns.tolist()), true=true, predicted=predicted, right=())
    if one.kind == "forecast":
        return dataclasses.replace(found, errors=np.abs(one.true - one.predicted).mean(axis=(0, 2)))
    return found


def _most_varied(true: _Array) -> npt.NDArray[np.int64]:
    """Return the columns that are drawn: with thousands of them a record of all would be large."""
    from autotune.figures import MOST_COLUMNS

    chosen: npt.NDArray[np.int64] = np.sort(np.argsort(-true.std(axis=0), kind="stable")[:MOST_COLUMNS])
    return chosen


def _names(one: Compared, data: Dataset) -> tuple[str, ...]:
    if one.kind == "labels":
        return tuple(f"label {number}" for number in range(one.n_classes))
    return class_names_of(data.name, one.n_classes) if one.kind in ("classes", "mask") else ()


def _counts(one: Compared) -> npt.NDArray[np.int64] | None:
    if one.kind == "labels":
        return counts_of_labels(one.true, one.predicted)
    if one.kind not in ("classes", "mask"):
        return None
    predicted = one.predicted.argmax(axis=1) if one.kind == "classes" else one.predicted
    return confusion_matrix(one.true, predicted, one.n_classes)


def _examples(
    one: Compared, data: Dataset, positions: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]
) -> tuple[Example, ...]:
    inputs = given_at(data, chosen)
    found = []
    for number, at in enumerate(chosen):
        predicted, sure = one.predicted[at], None
        if one.kind == "classes":
            predicted, sure = np.asarray(predicted.argmax()), float(predicted.max())
        true = one.true[at]
        if one.kind == "numbers" and true.shape == (1,):
            true, predicted = true.reshape(()), predicted.reshape(())
        found.append(Example(int(positions[at]), np.asarray(true), np.asarray(predicted), sure, inputs[number]))
    return tuple(found)


def given_at(data: Dataset, chosen: npt.NDArray[np.int64]) -> list[tuple[InputRow, ...]]:
    """Return what some rows give to each input, in the order of `leaves`; texts are split at spaces.

    Args:
        data: The rows.
        chosen: Their positions, shape (n,).
    """
    named = [(name_of(name), leaf) for name, leaf in leaves(data.arrays_at(chosen).x)]
    features = data.feature_names if len(named) == 1 else None
    columns = [[_given(name, np.asarray(row), features) for row in leaf] for name, leaf in named]
    return [tuple(row) for row in zip(*columns, strict=True)]


def name_of(leaf: str) -> str:
    """Return the name of an input from that of its leaf.

    Example:
        >>> name_of("['text']"), name_of("['tables'][0]"), name_of("[1]"), name_of("")
        ('text', 'tables 0', 'input 1', '')
    """
    name = re.sub(r"[\[\]'\"]+", " ", leaf).strip()
    return f"input {name}" if name.isdigit() else name


def _given(name: str, row: _Array, features: Any) -> InputRow:
    if row.dtype.kind in "US":
        words = tuple(str(row).split()) if row.ndim == 0 else tuple(map(str, row.ravel()))
        return InputRow(name, row, words)
    if row.ndim != 1 or row.dtype.kind not in "fiub" or (not features and len(row) > _MOST_UNNAMED):
        return InputRow(name, row)
    return InputRow(
        name, row, features=features or tuple(f"{name or 'feature'} {number}" for number in range(len(row)))
    )
