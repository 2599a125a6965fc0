"""State that changes in training but that no checkpoint can hold: found and reported.

What is covered: plain attributes of models, layers and other objects of the study file; attributes of callbacks;
tables, iterators and generators. `epoch_keeper` notices frozen layers and other optimizers.
What is not covered: state inside functions, inside objects of other packages, and in tensors that a model holds.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from autotune.errors import TrainingError
from autotune.training.checkpoints import fingerprint, is_plain
from autotune.training.state.callback_state import doomed_attributes, lost_attributes
from autotune.training.state.variables import TABLES, held_variables, is_own, training_variables, walk

_SET_BY_FIT = {"stop_training", "stop_evaluating", "stop_predicting"}  # a checkpoint holds the first


@dataclass(frozen=True)
class Marks:
    """Marks of attributes that must not change, by name; the mark of an attribute differs after a change.

    Attributes:
        callbacks: Attributes of callbacks that cannot be saved.
        model: Plain attributes in a model.
    """

    callbacks: Mapping[str, Any]
    model: Mapping[str, Any]

    def changed_since(self, before: Marks) -> list[str]:
        """Return the names of changed attributes. Attributes that a model creates at its first use count from then."""
        changed = [name for name, mark in self.callbacks.items() if before.callbacks.get(name) != mark]
        return changed + [name for name, mark in self.model.items() if before.model.get(name, mark) != mark]


def marks_of(model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> Marks:
    """Return the marks of all attributes that must not change."""
    return Marks(lost_attributes(callbacks), _plain_state(model))


def refuse_unkept(model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Refuse a model or callbacks with state that no checkpoint can hold, as far as this is known before training.

    Raises:
        TrainingError: If there is such state; the message names it.
    """
    if held := unkept_parts(model, callbacks) + doomed_attributes(callbacks):
        raise cannot_be_kept(held, "would change while a trial trains")


def unkept_parts(model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Return the names of parts that no checkpoint can hold: tables, iterators, and sets of objects with variables.

    Tables of Keras's own layers are no problem: they hold a vocabulary, which does not change in training.
    """
    parts = [part for root in (*callbacks, model) for part in walk(root, type(root).__name__)]
    layers = [value for _, value in parts if isinstance(value, keras.Layer) and not is_own(value.__class__)]
    fixed = {id(value) for layer in layers for value in vars(layer).values()}
    known = [model, *training_variables(model), *model.metrics_variables]
    sets = [id(v) for _, v in parts if isinstance(v, (set, frozenset)) and held_variables(list(v), known)]
    unkept = {id(v): name for name, v in parts if id(v) in sets or (_is_unkept(v) and id(v) not in fixed)}
    return list(unkept.values())


def _is_unkept(value: Any) -> bool:
    return isinstance(value, TABLES) or (isinstance(value, Iterator) and not isinstance(value, io.IOBase))


def cannot_be_kept(names: Sequence[str], what: str) -> TrainingError:
    """Return the error that names the state that an interrupted trial would lose."""
    return TrainingError(
        f"{', '.join(names)} {what}, and no checkpoint can hold it.",
        "A resumed trial gives the same numbers only if its checkpoint holds all state that has changed.\n"
        "A checkpoint holds all variables of Keras and TensorFlow; for callbacks also numbers, text, arrays,\n"
        "dates, random generators and containers of those.",
        "In a model or a layer make it a keras.Variable(..., trainable=False); in a callback use such a type.",
    )


def has_own_code(model: keras.Model) -> bool:
    """Tell whether a model is, or contains, an object of the study file's own; Keras's objects hold variables only."""
    return any(is_own(value.__class__) for _, value in walk(model, ""))


def _plain_state(model: keras.Model) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for at, holder in walk(model, type(model).__name__):
        if is_own(holder.__class__):
            name = _name(holder, model) if isinstance(holder, keras.Layer) else at
            found |= {f"{name}.{attribute}": fingerprint(value) for attribute, value in _plain_attributes(holder)}
    return found


def _name(layer: keras.Layer, model: keras.Model) -> str:
    return type(layer).__name__ if layer is model else f"{type(layer).__name__} {layer.name!r}"


def _plain_attributes(holder: Any) -> list[tuple[str, Any]]:
    is_keras = any(base.__module__.startswith("keras.") for base in type(holder).__mro__)
    of_keras = _names_of_keras() if is_keras else set()
    found = [(name, _untracked(value)) for name, value in getattr(holder, "__dict__", {}).items()]
    kept = [(n, value) for n, value in found if value is not None and n not in of_keras and is_plain(value)]
    return [(n, value) for n, value in kept if not any(map(keras.ops.is_tensor, keras.tree.flatten(value)))]


def _untracked(value: Any) -> Any:
    """Return a layer's list, dict or set as a plain one, not as the class with which Keras tracks its items."""
    kind = next((one for one in (list, dict, set) if isinstance(value, one)), None)
    return kind(value) if kind is not None and type(value).__module__.startswith("keras.") else value


@functools.cache
def _names_of_keras() -> set[str]:
    inputs = keras.Input((1,))
    bare = (
        keras.Sequential(),
        keras.Model(),
        keras.Model(inputs, keras.layers.Identity()(inputs)),
        keras.layers.Layer(),
    )
    names = {name for one in (*bare, keras.optimizers.SGD(), keras.metrics.Mean()) for name in vars(one)}
    return names | _SET_BY_FIT
