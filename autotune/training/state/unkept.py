"""State that changes in training but that no checkpoint can hold: found and reported.

What is covered: plain attributes of models, layers and other objects, of classes of the study file and of Keras;
attributes of callbacks; tables, iterators and generators; random operations of TensorFlow in a traced step.
`epoch_keeper` notices frozen layers and other optimizers.
What is not covered: state inside functions, inside objects of other packages, and in tensors that a model holds.
"""

from __future__ import annotations

import dis
import functools
import inspect
import io
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from autotune.errors import TrainingError
from autotune.failures import place_of
from autotune.keras_inside import all_layers
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

    @property
    def names(self) -> frozenset[str]:
        """The names of all attributes."""
        return frozenset([*self.callbacks, *self.model])

    def replaced_by(self, others: Marks) -> Marks:
        """Return these marks, with those of `others` in their place where there are such."""
        return Marks({**self.callbacks, **others.callbacks}, {**self.model, **others.model})

    def changed_since(self, before: Marks) -> list[str]:
        """Return the names of changed attributes. Attributes that a model creates at its first use count from then."""
        changed = [name for name, mark in self.callbacks.items() if before.callbacks.get(name) != mark]
        return changed + [name for name, mark in self.model.items() if before.model.get(name, mark) != mark]


def marks_of(model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> Marks:
    """Return the marks of all attributes that must not change."""
    return Marks(lost_attributes(callbacks), _plain_state(model))


class Watch:
    """Notices attributes that change while a network trains, and that no checkpoint holds.

    Args:
        model: The network, when its training begins.
        callbacks: The callbacks of its training.
    """

    def __init__(self, model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        self._model = model
        self._callbacks = callbacks
        self._known = marks_of(model, callbacks)
        self._from_the_beginning = self._known.names

    def changed(self) -> list[str]:
        """Return the names of attributes that have changed since the training began, or since they were made."""
        now = marks_of(self._model, self._callbacks)
        found = now.changed_since(self._known)
        self._known = now.replaced_by(self._known)
        return found

    def is_refused(self, changed: Sequence[str], epoch: int) -> bool:
        """Tell whether the checkpoints before `epoch` cannot be used either.

        An attribute may not be in them. Or it is one of the model, of which TensorFlow has traced the first value, and
        a resumed trial would trace another one.
        """
        is_traced = not self._model.run_eagerly and not self._known.model.keys().isdisjoint(changed)
        return bool(changed) and (epoch == 1 or is_traced or not self._from_the_beginning.issuperset(changed))


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


def unkept_draws(step: tf.Graph) -> list[str]:
    """Return the operations of a step that draw random numbers from a hidden counter of TensorFlow, and their places.

    Args:
        step: The step, from `trace_step`.
    """
    functions = step.as_graph_def().library.function  # the bodies of loops and branches
    inner = [node.op for function in functions for node in function.node_def if _is_draw(node)]
    return [*dict.fromkeys([_placed(one) for one in step.get_operations() if _is_draw(one.node_def)] + inner)]


def _is_draw(node: Any) -> bool:
    return "seed2" in node.attr  # as all such operations have; those that get their state have none


def _placed(operation: tf.Operation) -> str:
    where = place_of(operation.traceback)
    return f"{operation.type} ({where})" if where else str(operation.type)


def has_own_code(model: keras.Model) -> bool:
    """Tell whether a model has code of the study file's own, which may keep state where it likes."""
    wrapped = [one.function for one in all_layers(model) if isinstance(one, keras.layers.Lambda)]
    functions = [one for one in (*wrapped, *keras.tree.flatten(model.loss)) if isinstance(one, types.FunctionType)]
    return any(is_own(value.__class__) for _, value in walk(model, "")) or any(map(is_own, functions))


def _plain_state(model: keras.Model) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for at, holder in walk(model, type(model).__name__):
        name = _name(holder, model) if isinstance(holder, keras.Layer) else at
        found |= {f"{name}.{attribute}": fingerprint(value) for attribute, value in _plain_attributes(holder)}
    return found


def _name(layer: keras.Layer, model: keras.Model) -> str:
    return type(layer).__name__ if layer is model else f"{type(layer).__name__} {layer.name!r}"


def _plain_attributes(holder: Any) -> list[tuple[str, Any]]:
    kind: Any = type(holder)
    found = [(name, _untracked(value)) for name, value in getattr(holder, "__dict__", {}).items()]
    if not is_own(kind):
        found = [(name, value) for name, value in found if not name.startswith("_")]
    kept = [(n, v) for n, v in found if v is not None and is_plain(v) and not _is_set_by_others(kind, n)]
    return [(n, value) for n, value in kept if not any(map(keras.ops.is_tensor, keras.tree.flatten(value)))]


def _untracked(value: Any) -> Any:
    """Return a layer's list, dict or set as a plain one, not as the class with which Keras tracks its items."""
    kind = next((one for one in (list, dict, set) if isinstance(value, one)), None)
    return kind(value) if kind is not None and type(value).__module__.startswith("keras.") else value


@functools.cache
def _is_set_by_others(kind: Any, name: str) -> bool:
    """Tell whether installed code sets this attribute of a class, in a method of the class or from outside."""
    if issubclass(kind, keras.Layer) and name in _of_bare_layers():
        return True
    codes = [code for code in _codes_of(kind) if name in code.co_names]  # reading all of them takes long
    return any(name in _stored_by(code) for code in codes)


@functools.cache
def _codes_of(kind: Any) -> list[types.CodeType]:
    parts = [part for base in kind.__mro__ if not is_own(base) for part in vars(base).values()]
    functions = [one for part in parts for one in (getattr(part, "fget", part), getattr(part, "fset", None))]
    unwrapped = [inspect.unwrap(one) for one in functions if callable(one) and not isinstance(one, type)]
    return [one.__code__ for one in unwrapped if isinstance(one, types.FunctionType)]


@functools.cache
def _stored_by(code: types.CodeType) -> frozenset[str]:
    return frozenset(step.argval for step in dis.get_instructions(code) if step.opname == "STORE_ATTR")


@functools.cache
def _of_bare_layers() -> set[str]:
    inputs = keras.Input((1,))
    functional = keras.Model(inputs, keras.layers.Identity()(inputs))
    bare = (keras.Sequential(), keras.Model(), functional, keras.layers.Layer())
    return {name for one in bare for name in vars(one)} | _SET_BY_FIT
