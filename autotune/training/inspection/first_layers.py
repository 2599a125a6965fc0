"""The first layers of a model that make floats of words and whole numbers, by the input that they read.

Words and whole numbers have no values in between, but the outputs of these layers have.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from autotune.keras_inside import all_layers

SCALING = (keras.layers.Rescaling, keras.layers.Normalization)
_LOOKUPS = (
    keras.layers.CategoryEncoding,
    keras.layers.StringLookup,
    keras.layers.IntegerLookup,
    keras.layers.Hashing,
)


@dataclass(frozen=True, eq=False)
class FirstLayers:
    """The first layers of a model, and the input that each of their calls reads.

    Attributes:
        layers: The layers that may make floats of words and whole numbers.
        owners: For each of their calls that `reads_tokens` the number of the input that it reads; None if it makes no
            floats, or reads no input, or several ones.
        of_words: The inputs that Embedding layers read, several tokens for each row.
        vectorizations: The TextVectorization layer of each input that has one.
    """

    layers: Sequence[keras.layers.Layer]
    owners: Sequence[int | None]
    of_words: frozenset[int]
    vectorizations: Mapping[int, keras.layers.Layer]


def first_layers(
    model: keras.Model, call: Callable[[Sequence[tf.Tensor]], Any], inputs: Sequence[npt.NDArray[Any]]
) -> FirstLayers:
    """Find the first layers of a model.

    What a layer is given changes with the input that it reads, and with no other.

    Args:
        model: The model.
        call: Calls it on its inputs.
        inputs: A few rows of each input, (n, ...).
    """
    texts = [layer for layer in all_layers(model) if isinstance(layer, keras.layers.TextVectorization)]
    inner = [layer for text in texts for layer in all_layers(text)]
    kinds = (keras.layers.Embedding, *SCALING, *_LOOKUPS)
    layers = [layer for layer in all_layers(model) if isinstance(layer, kinds) and layer not in inner]
    if not layers and not texts:
        return FirstLayers([], [], frozenset(), {})
    changed = [[*inputs[:at], _changed(leaf), *inputs[at + 1 :]] for at, leaf in enumerate(inputs)]
    calls, *others = (_calls(call, [*layers, *texts], leaves) for leaves in [inputs, *changed])
    owners = [_owner([other[number].given for other in others], one.given) for number, one in enumerate(calls)]
    owned = [(one, owner) for one, owner in zip(calls, owners, strict=True) if owner is not None]
    return FirstLayers(
        layers=layers,
        owners=[owner if one.moves else None for one, owner in zip(calls, owners, strict=True) if one.layer in layers],
        of_words=frozenset(owner for one, owner in owned if one.reads_words),
        vectorizations={owner: one.layer for one, owner in owned if one.layer in texts},
    )


def reads_tokens(layer: keras.layers.Layer, given: Any) -> bool:
    """Tell whether a layer is given words or whole numbers; those of an Embedding layer may be floats."""
    if isinstance(layer, keras.layers.Embedding):
        return True
    return bool(tf.is_tensor(given) and (given.dtype.is_integer or given.dtype == tf.string))


def as_floats(layer: keras.layers.Layer, found: Any) -> Any:
    """Return what a layer makes of words or whole numbers as floats; None for other numbers of words.

    Lookups that make one-hot rows make them of whole numbers.
    """
    if not tf.is_tensor(found):
        return None
    if found.dtype.is_floating:
        return found
    makes_rows = isinstance(layer, _LOOKUPS) and layer.output_mode != "int"
    return tf.cast(found, keras.config.floatx()) if makes_rows else None


@contextlib.contextmanager
def calling(layers: Sequence[keras.layers.Layer], stand_in: Callable[..., Any]) -> Iterator[None]:
    """Replace each layer's `call(inputs)` by `stand_in(layer, call, inputs)` inside the block.

    A model that is split after its Embedding layer would lose the mask of the padding.
    """
    try:
        for layer in layers:
            layer.call = partial(stand_in, layer, layer.call)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("call", None)  # then the layer has the `call` of its class again


@dataclass(frozen=True, eq=False)
class _Call:
    """A call of a layer: what it is given, (n, ...), and whether it makes floats of it."""

    layer: keras.layers.Layer
    given: npt.NDArray[Any]
    makes_floats: bool

    @property
    def reads_words(self) -> bool:
        """Whether the layer gives a vector to each of several tokens."""
        return isinstance(self.layer, keras.layers.Embedding) and self.given.size > len(self.given)

    @property
    def moves(self) -> bool:
        """Whether what it makes can be said of its input; a lookup gives several categories one row."""
        return self.makes_floats and not (isinstance(self.layer, _LOOKUPS) and self.given.size > len(self.given))


def _calls(
    call_model: Callable[[Sequence[tf.Tensor]], Any],
    layers: Sequence[keras.layers.Layer],
    inputs: Sequence[npt.NDArray[Any]],
) -> list[_Call]:
    calls: list[_Call] = []

    def note(layer: keras.layers.Layer, call: Callable[..., Any], tokens: Any, *given: Any, **named: Any) -> Any:
        found = call(tokens, *given, **named)
        if reads_tokens(layer, tokens):
            calls.append(_Call(layer, np.asarray(tokens), as_floats(layer, found) is not None))
        return found

    with calling(layers, note):
        call_model([tf.constant(leaf) for leaf in inputs])
    return calls


def _owner(others: Sequence[npt.NDArray[Any]], given: npt.NDArray[Any]) -> int | None:
    """Return the only input that changes what a layer is given; None for none or several ones."""
    readers = [at for at, other in enumerate(others) if not np.array_equal(other, given)]
    return readers[0] if len(readers) == 1 else None


def _changed(leaf: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the rows of an input in another order; other numbers or words if they are all the same."""
    for other in (np.roll(leaf, 1, axis=0), np.ones_like(leaf)):
        if not np.array_equal(other, leaf):
            return other
    return np.zeros_like(leaf)
