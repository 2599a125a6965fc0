"""Attributions by integrated gradients (Sundararajan, Taly and Yan, "Axiomatic attribution", 2017).

F is an output of the model for one class or number, x a row and b its baseline. The attribution of part i of the row is

    (x_i - b_i) * integral over a from 0 to 1 of dF/dx_i (b + a (x - b)).

All attributions, of all inputs together, sum to F(x) - F(b). This axiom of completeness is used to check the
quadrature. Words and whole numbers cannot change gradually, but what the model's first layer makes of them can:

- tokens, words: the path is in the output of the Embedding layer, from the vectors of padding (the model has learned to
  ignore padding) to the vectors of the words. A token gets the sum over its vector. Padding gets 0.
- one category for each row: the same, from the mean of all vectors.
- one category for each row that a lookup layer makes one-hot: from no category.
- whole numbers, e.g. images of bytes: the path is in the output of Rescaling or Normalization.

An input that none of these layers reads is held as it is, and has no attributions.
What is not covered: words that reach an Embedding layer together with those of another input; a second output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from autotune.keras_inside import tokens_of
from autotune.training.inspection.paths import Head, Path, Row, path_of

_NODES = 8  # Gauss-Legendre nodes in each piece of the path
_MOST = 4  # the refinement stops at about this many times the given steps
_RELATIVE, _ABSOLUTE = 0.01, 1e-3  # tolerance of the gap
_POINTS, _NUMBERS = 128, 2**22  # largest number of points of the path in a batch, and of numbers in them

_Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class InputAttribution:
    """The attributions of one input of some rows.

    Attributes:
        values: Shape of the rows, (n, ...); for text (n, length), a number for each token. A value above 0 speaks for
            the class, or raises the number. None if the input was held as it is.
        words: For text the words of each row, one per token, "" for padding; empty for numbers.
        why_none: Why there are no values; "" if there are.
    """

    values: _Floats | None
    words: tuple[tuple[str, ...], ...] = ()
    why_none: str = ""


@dataclass(frozen=True, eq=False)
class Attribution:
    """The attributions of some rows.

    Attributes:
        inputs: The attributions of each input, in the order of `keras.tree.flatten`: dicts by their sorted keys.
        start: The output for the baseline, shape (n,).
        end: The output for the row, shape (n,).
        gap: The error of the sum: sum of values - (end - start), shape (n,).
    """

    inputs: tuple[InputAttribution, ...]
    start: _Floats
    end: _Floats
    gap: _Floats


def integrated_gradients(
    model: keras.Model,
    rows: Any,
    targets: npt.ArrayLike,
    baseline: Any = 0.0,
    steps: int = 64,
    *,
    output: str = "",
    of: Literal["classes", "numbers"] = "classes",
) -> Attribution:
    """Return the attributions of each row for the output of a class, without dropout and augmentation.

    The path is cut into pieces. Pieces whose gradients do not match their outputs are halved until the gap is below one
    percent of the whole, or four times the steps are used.

    Args:
        model: A model whose output is probabilities or logits: (n, k), or (n, 1) for class 1; class 0 then has 1 minus
            the output. Or numbers.
        rows: An array or a nest of arrays as the model takes them, each of shape (n, ...): numbers, or strings, or
            tokens with 0 for padding, which an Embedding layer reads.
        targets: The class, or the column of the output, of each row, shape (n,), integers.
        baseline: The start of the path: a number for all inputs, or a nest like `rows` of arrays that can be broadcast
            to them. Ignored for text. Where it equals the row, or the row is NaN, the attribution is 0.
        steps: Number of points of each row's path at first.
        output: The name of the output, for a model with several ones.
        of: Whether the output is of classes or of numbers.

    Raises:
        UsageError: If the model's output has no gradient with respect to any input.
    """
    given = [np.asarray(leaf) for leaf in keras.tree.flatten(rows)]
    starts = [baseline] * len(given) if isinstance(baseline, (int, float)) else keras.tree.flatten(baseline)
    begins = [_start(leaf, start) for leaf, start in zip(given, starts, strict=True)]
    path = path_of(Head(model, rows, output, of), given, begins)
    pieces = []
    for number, target in enumerate(np.asarray(targets)):
        row, begin = [leaf[number] for leaf in given], [one[number] for one in begins]
        pieces.append(_integrate(path, row, begin, int(target), steps))
    return Attribution(
        inputs=tuple(_input_attribution(path, given[at], at, pieces) for at in range(len(given))),
        start=np.array([one.start for one in pieces]),
        end=np.array([one.end for one in pieces]),
        gap=np.array([one.total - (one.end - one.start) for one in pieces]),
    )


def _input_attribution(path: Path, rows: npt.NDArray[Any], at: int, pieces: Sequence[_Piece]) -> InputAttribution:
    if path.why_held[at]:
        return InputAttribution(None, why_none=path.why_held[at])
    values = [one.values[path.moved.index(at)] for one in pieces]
    if at not in path.first.of_words:
        whole = np.stack(values)
        return InputAttribution(whole.reshape(rows.shape) if whole.size == rows.size else whole)
    length = max(one.size for one in values)
    words = tuple(_words_of(path.first.vectorizations.get(at), row, length) for row in rows)
    return InputAttribution(np.stack([np.pad(one.reshape(-1), (0, length - one.size)) for one in values]), words)


@dataclass(frozen=True, eq=False)
class _Piece:
    """A piece of the path, from the share `low` to `high`, with the outputs at both ends and its attributions."""

    low: float
    high: float
    start: float
    end: float
    values: Sequence[_Floats]

    @property
    def total(self) -> float:
        return float(sum(one.sum() for one in self.values))

    @property
    def gap(self) -> float:
        return abs(self.total - (self.end - self.start))

    def halves(self) -> list[tuple[float, float]]:
        middle = (self.low + self.high) / 2
        return [(self.low, middle), (middle, self.high)]


def _integrate(path: Path, row: Row, begin: Row, target: int, steps: int) -> _Piece:
    """Integrate the whole path, and return it as one piece."""
    cuts = [float(cut) for cut in np.linspace(0.0, 1.0, max(1, steps // _NODES) + 1)]
    pieces = _pieces(path, row, begin, target, list(pairwise(cuts)))
    start, end = pieces[0].start, pieces[-1].end
    enough = _RELATIVE * abs(end - start) + _ABSOLUTE
    taken = len(pieces)
    while sum(piece.gap for piece in pieces) > enough and taken * _NODES < _MOST * steps:
        is_rough = [piece.gap > enough / (2 * len(pieces)) for piece in pieces]
        halves = [half for piece, rough in zip(pieces, is_rough, strict=True) if rough for half in piece.halves()]
        taken += len(halves)
        kept = [piece for piece, rough in zip(pieces, is_rough, strict=True) if not rough]
        pieces = kept + _pieces(path, row, begin, target, halves)
    whole: list[_Floats] = [np.sum(parts, axis=0) for parts in zip(*(piece.values for piece in pieces), strict=True)]
    return _Piece(0.0, 1.0, start, end, whole)


def _pieces(path: Path, row: Row, begin: Row, target: int, bounds: Sequence[tuple[float, float]]) -> list[_Piece]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    nodes, weights = np.array([-1.0, *nodes, 1.0]), np.array([0.0, *weights, 0.0])  # with the outputs at both ends
    shares = np.concatenate([low + (high - low) * (nodes + 1) / 2 for low, high in bounds])
    at_a_time = max(2, min(_POINTS, _NUMBERS // max(1, sum(map(np.size, row)))))
    looks = [path.look(row, begin, part, target) for part in np.array_split(shares, -(-len(shares) // at_a_time))]
    outputs = np.concatenate([output for output, _ in looks]).reshape(len(bounds), -1)
    pulls = [np.concatenate(parts) for parts in zip(*(pull for _, pull in looks), strict=True)]
    pulls = [pull.reshape(len(bounds), len(nodes), *pull.shape[1:]) for pull in pulls]
    return [
        _Piece(
            low,
            high,
            float(outputs[number][0]),
            float(outputs[number][-1]),
            [(high - low) / 2 * np.tensordot(weights, pull[number], axes=1) for pull in pulls],
        )
        for number, (low, high) in enumerate(bounds)
    ]


def _words_of(vectorization: keras.layers.Layer | None, row: Any, length: int) -> tuple[str, ...]:
    """Return the words of a row's tokens, padded with "" to `length`; tokens without words are shown as numbers.

    Words outside the vocabulary are shown as they are in the text.
    """
    if vectorization is not None:
        found = tokens_of(vectorization, tf.constant([row]))
        words = [word.decode("utf-8", "replace") for word in np.ravel(found[0].numpy())]
    elif np.ndim(row) == 0:
        words = str(row).split()
    elif np.asarray(row).dtype.kind in "fiub":
        words = [str(int(token)) if token else "" for token in np.ravel(row)]
    else:
        words = [str(word) for word in np.ravel(row)]
    return tuple((*words, *[""] * length)[:length])


def _start(rows: npt.NDArray[Any], baseline: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return the start of the path of each row; words have one of their own."""
    if rows.dtype.kind not in "fiub":
        return np.zeros(rows.shape, np.float32)
    return np.broadcast_to(np.asarray(baseline, dtype=np.float32), rows.shape)
