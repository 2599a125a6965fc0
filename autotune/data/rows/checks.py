"""Checks of arrays: their numbers of rows, and the kinds of their values.

What is not covered: values that no network can use, such as NaN. `refuse_no_numbers` looks for them once in each run,
because it has to read every number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.data.rows.frames import short
from autotune.data.rows.nests import Arrays, Leaf, Nest, leaves
from autotune.data.rows.ragged import RaggedArray
from autotune.errors import DataError


class _Kinds(NamedTuple):
    """The kinds of values of one part of the rows.

    Attributes:
        expected: A sentence on the kinds that it may hold.
        refused: By NumPy's letter of a kind: what its values are, and what to give in their place; {0} is the array.
        objects: What to give in place of Python objects.
    """

    expected: str
    refused: Mapping[str, tuple[str, str]]
    objects: str


_INPUTS = _Kinds(
    "x holds numbers or strings, and no Python objects.",
    {
        "M": ("times", "Make them numbers: ({0} - {0}.min()) / np.timedelta64(1, 'h')."),
        "m": ("durations", "Make them numbers: {0} / np.timedelta64(1, 'h')."),
        "V": ("records", "Make them columns: {{name: {0}[name] for name in {0}.dtype.names}}."),
    },
    "Convert numbers with {0}.astype('float32') and texts with np.array(texts, dtype=str); number the words of a "
    "column with np.unique(column, return_inverse=True)[1]. A table of words and numbers can be a dict of columns.",
)
_TARGETS = _Kinds(
    "Targets are numbers: labels from 0, or values to predict.",
    {
        "M": ("times", "Predict a number: ({0} - {0}.min()) / np.timedelta64(1, 'h')."),
        "m": ("durations", "Predict a number: {0} / np.timedelta64(1, 'h')."),
        "c": ("complex numbers", "Predict one real number, {0}.real or np.abs({0})."),
        "V": ("records", "Predict one of their fields: {0}['name']."),
    },
    "Leave out the rows without a target, then {0}.astype('int64') for labels or {0}.astype('float32') for numbers.",
)


def check_arrays(found: Arrays) -> None:
    """Check that arrays have the same number of rows, and that a network can read their values.

    Raises:
        DataError: The numbers of rows differ, or there are values that no network reads.
    """
    _check_lengths(found)
    _check_kinds("x", found.x, _INPUTS)
    if isinstance(found.y, np.ndarray) and found.y.dtype.kind in "US":
        raise _words(found.y)
    _check_kinds("y", found.y, _TARGETS)
    _check_weights(found)


def _check_lengths(found: Arrays) -> None:
    named = found.leaves()
    if not named:
        raise DataError("x has no arrays.", "x holds at least one array of inputs.", "Give x.")
    for name, leaf in named:
        if not leaf.shape:
            what, fix = _of_single(leaf[()])
            raise DataError(
                f"{name} is {what}.",
                f"{name} has one row for each example: an array of shape (n, ...).",
                fix or f"Give {name} as an array, or as a dict, list or tuple of arrays.",
            )
    first_name, first = named[0]
    for name, leaf in named[1:]:
        if len(leaf) != len(first):
            raise DataError(
                f"{name} has {len(leaf):,} rows, and {first_name} has {len(first):,}: their shapes are {leaf.shape} "
                f"and {first.shape}.",
                "All arrays of a dataset have one row for each example, along their first axis.",
                f"Give as many rows in {name} as in {first_name}.",
            )


def _of_single(value: object) -> tuple[str, str]:
    """Return what was given in place of rows, and what to give instead where that depends on it."""
    if isinstance(value, str):
        return f"the text {short(value)}", "Read the file, and give its rows as an array, or as a data frame."
    if isinstance(value, Iterator):
        return f"a Python iterator ({type(value).__name__})", (
            "Give a class with __len__ and __getitem__, a finite tf.data.Dataset, or an array of all rows."
        )
    return "a single value", ""


def _check_kinds(part: str, nest: Nest, kinds: _Kinds) -> None:
    for name, leaf in [] if nest is None else leaves(nest, part):
        if leaf.dtype.kind in kinds.refused:
            what, fix = kinds.refused[leaf.dtype.kind]
            raise DataError(f"{name} holds {what} (dtype {leaf.dtype}).", kinds.expected, fix.format(name))
        if leaf.dtype.hasobject:
            found = f"{name} has the dtype {leaf.dtype}: {_first_object(leaf)}."
            raise DataError(found, kinds.expected, kinds.objects.format(name))


def _words(y: npt.NDArray[Any]) -> DataError:
    return DataError(
        f"y holds words, e.g. {short(y.flat[0])} in row 0." if y.size else f"y has the dtype {y.dtype}.",
        _TARGETS.expected,
        "Number the classes: classes, y = np.unique(words, return_inverse=True). Class k is then called classes[k]. "
        "Give texts that the model itself reads in a dict: y={'text': y}.",
    )


def _check_weights(found: Arrays) -> None:
    if found.sample_weight is None:
        return
    if found.y is None:
        raise DataError(
            "sample_weight is given without y.",
            "Keras weights the losses of targets.",
            "Give y, or leave sample_weight out and weight the rows in the model's own loss.",
        )
    for name, leaf in leaves(found.sample_weight, "sample_weight"):
        if leaf.dtype.kind not in "iufb":
            raise DataError(
                f"{name} has the dtype {leaf.dtype}.",
                "sample_weight holds one number for each row, or an array of numbers for each output.",
                f"Give {name} as numbers, e.g. np.ones(n).",
            )


def _first_object(leaf: Leaf) -> str:
    """Describe the first value that is not a number; say so if all of them are numbers."""
    for at, value in np.ndenumerate(leaf.values if isinstance(leaf, RaggedArray) else leaf):
        if not isinstance(value, (int, float, np.number, np.bool_)):
            return f"row {at[0]:,} holds {short(value)}"
    return "its numbers are Python objects"
