"""Paths from a baseline to a row, along which all inputs of a model move together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from autotune.errors import UsageError
from autotune.training.inspection.first_layers import (
    SCALING,
    FirstLayers,
    as_floats,
    calling,
    first_layers,
    reads_tokens,
)
from autotune.training.outputs import named_outputs

Row: TypeAlias = Sequence[npt.NDArray[Any]]
"""A row of each input, in the order of keras.tree.flatten."""

_PROBED = 8  # rows that show which layers read which input

_Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Head:
    """The output of a model that is explained.

    Attributes:
        model: The model.
        structure: The rows, for the structure of its inputs.
        output: The name of the output; "" for the only one.
        of: As in `integrated_gradients`.
    """

    model: keras.Model
    structure: Any
    output: str
    of: str

    def __call__(self, inputs: Sequence[Any], target: int) -> tf.Tensor:
        """Return the output of a class, or a column of numbers, for each point, shape (m,)."""
        outputs = self.model(keras.tree.pack_sequence_as(self.structure, list(inputs)), training=False)
        found = named_outputs(self.model, outputs).get(self.output)
        if found is None or not tf.is_tensor(found):
            raise not_differentiable("it has several outputs")
        columns = tf.reshape(found, (found.shape[0], -1))
        if columns.shape[1] == 1 and self.of == "classes":
            return columns[:, 0] if target == 1 else 1 - columns[:, 0]
        return columns[:, target]


@dataclass(frozen=True, eq=False)
class Path:
    """The path from a baseline to a row.

    Attributes:
        head: The output that is explained.
        first: The layers that make floats of words and whole numbers.
        why_held: For each input why it does not move; "" if it does.
    """

    head: Head
    first: FirstLayers
    why_held: Sequence[str]

    @property
    def moved(self) -> list[int]:
        """The inputs that move, in their order."""
        return [at for at, why in enumerate(self.why_held) if not why]

    def look(self, row: Row, begin: Row, shares: _Floats, target: int) -> tuple[_Floats, list[_Floats | None]]:
        """Return for each share of the path the output, (m,), and for each moved input the gradient times its way."""
        points: dict[int, list[tf.Tensor]] = {at: [] for at in self.moved}
        ways: dict[int, list[tuple[tf.Tensor, bool]]] = {at: [] for at in self.moved}
        numbers = count()

        def note(at: int, start: tf.Tensor, way: tf.Tensor, is_vector: bool = False) -> tf.Tensor:
            by_row = tf.reshape(tf.cast(shares, way.dtype), (-1, *[1] * (len(way.shape) - 1)))
            point = start + by_row * way
            tape.watch(point)
            points[at].append(point)
            ways[at].append((way, is_vector))
            return point

        def move(
            layer: keras.layers.Layer, call: Callable[..., Any], tokens: tf.Tensor, *given: Any, **named: Any
        ) -> Any:
            owner = self.first.owners[next(numbers)] if reads_tokens(layer, tokens) else None
            if owner is None or owner not in points:
                return call(tokens, *given, **named)
            found = as_floats(layer, call(tokens, *given, **named))
            if isinstance(layer, SCALING):
                start = call(
                    tf.cast(tf.repeat(tf.constant(begin[owner])[tf.newaxis], len(shares), axis=0), tokens.dtype)
                )
            elif owner in self.first.of_words:
                start = call(tf.zeros_like(tokens))
            else:
                start = _without_category(layer, found)
            return note(owner, start, found - start, not isinstance(layer, SCALING))

        with tf.GradientTape(watch_accessed_variables=False) as tape, calling(self.first.layers, move):
            inputs = []
            for at, leaf in enumerate(row):
                if at in points and at not in self.first.owners:
                    way = (leaf.astype(np.float32) - begin[at])[np.newaxis]
                    is_missing = np.isnan(way)  # a missing value stays missing on the whole path, and gets 0
                    start = tf.constant(np.where(is_missing, np.nan, begin[at]))
                    inputs.append(note(at, start, tf.constant(np.where(is_missing, 0, way))))
                else:
                    inputs.append(tf.repeat(tf.constant(leaf)[tf.newaxis], len(shares), axis=0))
            found = self.head(inputs, target)
        gradients = tape.gradient(found, points)
        return _in_float64(found), [_pull(gradients[at], ways[at]) for at in self.moved]


def _pull(gradients: Sequence[tf.Tensor | None], ways: Sequence[tuple[tf.Tensor, bool]]) -> _Floats | None:
    """Return the gradient times the way of one input, the sum of vectors; None if there is no gradient."""
    if not gradients or any(gradient is None for gradient in gradients):
        return None
    pulls = []
    for gradient, (way, is_vector) in zip(gradients, ways, strict=True):
        pull = tf.where(way == 0, tf.zeros_like(way), gradient * way)
        pulls.append(tf.reduce_sum(pull, axis=-1) if is_vector else pull)
    if len({tuple(pull.shape) for pull in pulls}) > 1:
        return None
    found = _in_float64(tf.add_n(pulls))
    if not np.isfinite(found).all():
        raise not_differentiable("its slope is not finite, as it may be beside a missing value")
    return found


def path_of(head: Head, rows: Row, begins: Row) -> Path:
    """Find out which inputs can move, and in which layers."""
    first = first_layers(head.model, lambda inputs: head(inputs, 0), [leaf[:_PROBED] for leaf in rows])
    no_layer = "words have no values in between, and it has no Embedding layer"
    why = ["" if at in first.owners or leaf.dtype.kind in "fiub" else no_layer for at, leaf in enumerate(rows)]
    path = Path(head, first, why)
    if path.moved:
        row, begin = [leaf[0] for leaf in rows], [leaf[0] for leaf in begins]
        pulls = dict(zip(path.moved, path.look(row, begin, np.array([0.5]), 0)[1], strict=True))
        cut = "its input is not used, or cut off by rounding or by a whole-number type"
        path = Path(head, first, [cut if pulls.get(at, ()) is None else one for at, one in enumerate(why)])
    if not path.moved:
        raise not_differentiable(path.why_held[0])
    return path


def _without_category(layer: keras.layers.Layer, found: tf.Tensor) -> tf.Tensor:
    """Return a layer's output for no category: the mean of all vectors, or no one in a one-hot row."""
    if not isinstance(layer, keras.layers.Embedding):
        return tf.zeros_like(found)
    return tf.zeros_like(found) + tf.cast(tf.reduce_mean(layer.embeddings, axis=0), found.dtype)


def _in_float64(tensor: tf.Tensor) -> _Floats:
    found: _Floats = tensor.numpy().astype(np.float64)
    return found


def not_differentiable(why: str) -> UsageError:
    """Return the error that says why there are no attributions."""
    return UsageError(
        f"the attributions of the model cannot be computed: {why}.",
        "Integrated gradients need a path from the model's output to its numeric input, or to an Embedding layer.",
        "Build the model with numeric inputs and, for text, keras.layers.Embedding.",
    )
