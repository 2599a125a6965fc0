"""Attributions by integrated gradients (Sundararajan, Taly and Yan, "Axiomatic attribution", 2017).

F is the model's output for one class, x a row and b its baseline. The attribution of part i of the row is

    (x_i - b_i) * integral over a from 0 to 1 of dF/dx_i (b + a (x - b)).

All attributions sum to F(x) - F(b). This axiom of completeness is used to check the quadrature. Words cannot change
gradually, but their vectors can: for text the path is in the output of the Embedding layer, from the vectors of padding
(the model has learned to ignore padding) to the vectors of the words. A token gets the sum over its vector. Padding
does not change on the path and gets 0.

What is not covered: models with several inputs or outputs, and words without an Embedding layer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from autotune.errors import UsageError
from autotune.keras_inside import all_layers, tokens_of

_NODES = 8  # Gauss-Legendre nodes in each piece of the path
_MOST = 4  # the refinement stops at about this many times the given steps
_RELATIVE, _ABSOLUTE = 0.01, 1e-3  # tolerance of the gap
_POINTS, _NUMBERS = 128, 2**22  # largest number of points of the path in a batch, and of numbers in them

_Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Attribution:
    """The attributions of some rows.

    Attributes:
        values: Shape of the rows, (n, ...); for text (n, length), a number for each token. A value above 0 speaks for
            the class.
        words: For text the words of each row, one per token, "" for padding; empty for numbers.
        start: The output for the baseline, shape (n,).
        end: The output for the row, shape (n,).
        gap: The error of the sum: sum of values - (end - start), shape (n,).
    """

    values: _Floats
    words: tuple[tuple[str, ...], ...]
    start: _Floats
    end: _Floats
    gap: _Floats


def integrated_gradients(
    model: keras.Model,
    rows: npt.NDArray[Any],
    targets: npt.ArrayLike,
    baseline: npt.ArrayLike = 0.0,
    steps: int = 64,
) -> Attribution:
    """Return the attributions of each row for the output of a class, without dropout and augmentation.

    The path is cut into pieces. Pieces whose gradients do not match their outputs are halved until the gap is below one
    percent of the whole, or four times the steps are used.

    Args:
        model: A model with one input and one output, probabilities or logits: (n, k), or (n, 1) for class 1; class 0
            then has 1 minus the output.
        rows: Shape (n, ...): numbers, or for a model with an Embedding layer strings, or tokens with 0 for padding.
        targets: The class of each row, shape (n,), integers.
        baseline: The start of the path, a number or an array of the shape of a row; ignored for text.
        steps: Number of points of each row's path at first.

    Raises:
        UsageError: If the gradient of the model's output with respect to its input cannot be computed.
    """
    embeddings = [layer for layer in all_layers(model) if isinstance(layer, keras.layers.Embedding)]
    path = _Words(model, embeddings) if embeddings else _Numbers(model, _start(rows, baseline))
    found = [_integrate(path, row, int(target), steps) for row, target in zip(rows, np.asarray(targets), strict=True)]
    length = max((len(one.values) for one in found), default=0) if embeddings else 0
    values = [_padded(one.values, length) if embeddings else one.values for one in found]
    return Attribution(
        values=np.stack(values),
        words=tuple(_words_of(model, row, length) for row in rows) if embeddings else (),
        start=np.array([one.start for one in found]),
        end=np.array([one.end for one in found]),
        gap=np.array([one.values.sum() - (one.end - one.start) for one in found]),
    )


class _Path(Protocol):
    """The path from a baseline to a row."""

    def look(self, row: Any, shares: _Floats, target: int) -> tuple[_Floats, _Floats]:
        """Return for each share of the path the output, (m,), and the gradient times the whole difference, (m, ...)."""


@dataclass(frozen=True, eq=False)
class _Numbers:
    model: keras.Model
    start: npt.NDArray[np.float32]

    def look(self, row: Any, shares: _Floats, target: int) -> tuple[_Floats, _Floats]:
        way = row.astype(np.float32) - self.start
        is_missing = np.isnan(way)  # a missing value stays missing on the whole path, and gets 0
        way, start = np.where(is_missing, 0, way), np.where(is_missing, np.nan, self.start)
        point = tf.constant(start + shares.astype(np.float32).reshape(-1, *[1] * way.ndim) * way)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            output = _output(self.model, point, target)
        gradient = tape.gradient(output, point)
        if gradient is None:
            raise _not_differentiable("its input is cut off, by rounding or by a whole-number type")
        pull = np.where(is_missing, 0, _as_floats(gradient) * way)
        if not np.isfinite(pull).all():
            raise _not_differentiable("its slope is not finite, as it may be beside a missing value")
        return _as_floats(output), pull


@dataclass(frozen=True, eq=False)
class _Words:
    model: keras.Model
    embeddings: Sequence[keras.layers.Layer]

    def look(self, row: Any, shares: _Floats, target: int) -> tuple[_Floats, _Floats]:
        points: list[tf.Tensor] = []
        ways: list[tf.Tensor] = []

        def move(embed: Callable[[tf.Tensor], tf.Tensor], tokens: tf.Tensor) -> tf.Tensor:
            if tokens.shape.rank != 2 or tokens.shape[0] != len(shares):
                return embed(tokens)  # an Embedding of something else, e.g. positions
            start = embed(tf.zeros_like(tokens))
            way = embed(tokens) - start
            point = start + tf.cast(shares[:, np.newaxis, np.newaxis], way.dtype) * way
            tape.watch(point)
            points.append(point)
            ways.append(way)
            return point

        with tf.GradientTape(watch_accessed_variables=False) as tape, _calling(self.embeddings, move):
            output = _output(self.model, tf.repeat(tf.constant(row)[tf.newaxis], len(shares), axis=0), target)
        gradients = tape.gradient(output, points)
        if not points or any(gradient is None for gradient in gradients):
            raise _not_differentiable("its Embedding layer is not given one token after another")
        sums = [tf.reduce_sum(gradient * way, axis=-1) for gradient, way in zip(gradients, ways, strict=True)]
        return _as_floats(output), _as_floats(tf.add_n(sums))


@dataclass(frozen=True, eq=False)
class _Piece:
    """A piece of the path, from the share `low` to `high`, with the outputs at both ends and its attributions."""

    low: float
    high: float
    start: float
    end: float
    values: _Floats

    @property
    def gap(self) -> float:
        return abs(float(self.values.sum()) - (self.end - self.start))

    def halves(self) -> list[tuple[float, float]]:
        middle = (self.low + self.high) / 2
        return [(self.low, middle), (middle, self.high)]


def _integrate(path: _Path, row: Any, target: int, steps: int) -> _Piece:
    """Integrate the whole path, and return it as one piece."""
    cuts = [float(cut) for cut in np.linspace(0.0, 1.0, max(1, steps // _NODES) + 1)]
    pieces = _pieces(path, row, target, list(pairwise(cuts)))
    start, end = pieces[0].start, pieces[-1].end
    enough = _RELATIVE * abs(end - start) + _ABSOLUTE
    taken = len(pieces)
    while sum(piece.gap for piece in pieces) > enough and taken * _NODES < _MOST * steps:
        is_rough = [piece.gap > enough / (2 * len(pieces)) for piece in pieces]
        halves = [half for piece, rough in zip(pieces, is_rough, strict=True) if rough for half in piece.halves()]
        taken += len(halves)
        kept = [piece for piece, rough in zip(pieces, is_rough, strict=True) if not rough]
        pieces = kept + _pieces(path, row, target, halves)
    whole: _Floats = np.sum([piece.values for piece in pieces], axis=0)
    return _Piece(0.0, 1.0, start, end, whole)


def _pieces(path: _Path, row: Any, target: int, bounds: Sequence[tuple[float, float]]) -> list[_Piece]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    nodes, weights = np.array([-1.0, *nodes, 1.0]), np.array([0.0, *weights, 0.0])  # with the outputs at both ends
    shares = np.concatenate([low + (high - low) * (nodes + 1) / 2 for low, high in bounds])
    at_a_time = max(2, min(_POINTS, _NUMBERS // max(1, np.size(row))))
    looks = [path.look(row, part, target) for part in np.array_split(shares, -(-len(shares) // at_a_time))]
    outputs = np.concatenate([output for output, _ in looks]).reshape(len(bounds), -1)
    pulls = np.concatenate([pull for _, pull in looks])
    pulls = pulls.reshape(len(bounds), len(nodes), *pulls.shape[1:])
    return [
        _Piece(low, high, float(output[0]), float(output[-1]), (high - low) / 2 * np.tensordot(weights, pull, axes=1))
        for (low, high), output, pull in zip(bounds, outputs, pulls, strict=True)
    ]


def _output(model: keras.Model, points: tf.Tensor, target: int) -> tf.Tensor:
    """Return the output of a class for each point, shape (m,)."""
    outputs = model(points, training=False)
    if not tf.is_tensor(outputs):
        raise _not_differentiable("it has several outputs")
    columns = tf.reshape(outputs, (len(points), -1))
    if columns.shape[1] == 1:
        return columns[:, 0] if target == 1 else 1 - columns[:, 0]
    return columns[:, target]


@contextlib.contextmanager
def _calling(layers: Sequence[keras.layers.Layer], stand_in: Callable[..., Any]) -> Iterator[None]:
    """Replace each layer's `call(inputs)` by `stand_in(call, inputs)` inside the block.

    A model that is split after its Embedding layer would lose the mask of the padding.
    """
    try:
        for layer in layers:
            layer.call = partial(stand_in, layer.call)
        yield
    finally:
        for layer in layers:
            del layer.call  # then the layer has the `call` of its class again


def _words_of(model: keras.Model, row: Any, length: int) -> tuple[str, ...]:
    """Return the words of a row's tokens, padded with "" to `length`; tokens without words are shown as numbers.

    Words outside the vocabulary are shown as they are in the text.
    """
    of_strings = (layer for layer in all_layers(model) if isinstance(layer, keras.layers.TextVectorization))
    if (vectorization := next(of_strings, None)) is not None:
        found = tokens_of(vectorization, tf.constant([row]))
        words = [word.decode("utf-8", "replace") for word in np.ravel(found[0].numpy())]
    elif np.ndim(row) == 1:
        words = [str(token) if token else "" for token in row]
    else:
        words = str(row).split()
    return tuple((*words, *[""] * length)[:length])


def _start(rows: npt.NDArray[Any], baseline: npt.ArrayLike) -> npt.NDArray[np.float32]:
    if rows.dtype.kind not in "fiub":
        raise _not_differentiable("words have no values in between, and it has no Embedding layer")
    return np.broadcast_to(np.asarray(baseline, dtype=np.float32), rows.shape[1:])


def _padded(values: _Floats, length: int) -> _Floats:
    return np.pad(values, (0, length - len(values)))


def _as_floats(tensor: tf.Tensor) -> _Floats:
    found: _Floats = tensor.numpy().astype(np.float64)
    return found


def _not_differentiable(why: str) -> UsageError:
    return UsageError(
        f"the attributions of the model cannot be computed: {why}.",
        "Integrated gradients need a path from the model's output to its numeric input, or to an Embedding layer.",
        "Build the model with one input, one output and, for text, keras.layers.Embedding.",
    )
