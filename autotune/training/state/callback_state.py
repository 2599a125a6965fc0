"""The attributes of callbacks: saved when an epoch ends, restored when a trial is resumed.

What is covered: attributes of the types that `values` can convert; the attributes of the study file's own objects, and
of other callbacks, that a callback holds; defaultdicts with any factory.
What is not covered, because `fit` creates it again: functions, classes, models, layers, files, loggers, and attributes
that do not change. `lost_attributes` finds those that change and cannot be saved.
"""

from __future__ import annotations

import copy
import dis
import io
import logging
import types
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from autotune.training.checkpoints import Attributes, UnusableCheckpointError, is_plain
from autotune.training.state.variables import is_own

_KERAS_SETS = {"_model", "params", "_params", "validation_data"}
_MADE_ANEW = (types.ModuleType, logging.Handler, logging.Logger, io.IOBase)
_CONTENTS = "contents"
_DEEP = 9  # nested containers; a limit is needed because some contain themselves


def state_of(callbacks: Iterable[keras.callbacks.Callback]) -> list[dict[str, Any]]:
    """Return for each callback a copy of the attributes that a checkpoint can hold, by name."""
    return copy.deepcopy([_kept(callback, {id(callback)}) for callback in callbacks])


def put_back(callbacks: Sequence[keras.callbacks.Callback], states: Sequence[Mapping[str, Any]]) -> None:
    """Restore the attributes of callbacks that `state_of` has returned.

    Raises:
        UnusableCheckpointError: If the callbacks are not the same ones.
    """
    if len(callbacks) != len(states):
        raise UnusableCheckpointError("is of other callbacks")
    for callback, state in zip(callbacks, states, strict=True):
        _put(callback, state)


def go_on_writing(callbacks: Iterable[keras.callbacks.Callback]) -> None:
    """Make callbacks of a resumed trial append to their files instead of overwriting them."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CSVLogger):
            callback.append = True


def lost_attributes(callbacks: Iterable[keras.callbacks.Callback]) -> dict[str, Any]:
    """Return a mark of each attribute that cannot be saved, by "Class.attribute"; the mark differs after a change."""
    return {
        f"{type(callback).__name__}.{name}": mark
        for callback in callbacks
        for name, mark in _marks(callback, {id(callback)})
    }


def doomed_attributes(callbacks: Iterable[keras.callbacks.Callback]) -> list[str]:
    """Return the names of attributes that cannot be saved and that the code of a hook assigns, so they will change."""
    return [
        f"{type(callback).__name__}.{name}"
        for callback in callbacks
        for name, _ in _marks(callback, {id(callback)})
        if name in _written_in_hooks(type(callback))
    ]


def _written_in_hooks(kind: type) -> set[str]:
    own = [vars(base) for base in kind.__mro__ if is_own(base)]
    hooks = [one for names in own for name, one in names.items() if name != "__init__" and hasattr(one, "__code__")]
    return {i.argval for hook in hooks for i in dis.get_instructions(hook) if i.opname == "STORE_ATTR"}


def _kept(holder: Any, seen: set[int]) -> dict[str, Any]:
    kept = {}
    for name, value in _attributes(holder):
        if is_plain(value):
            kept[name] = value
        elif _has_own_factory(value):
            kept[name] = Attributes("defaultdict", {_CONTENTS: dict(value)})
        elif _is_holder(value) and id(value) not in seen:
            seen.add(id(value))
            kept[name] = Attributes(type(value).__qualname__, _kept(value, seen))
    return kept


def _put(holder: Any, state: Mapping[str, Any]) -> None:
    for name, value in state.items():
        if not isinstance(value, Attributes):
            vars(holder)[name] = value
            continue
        there = vars(holder).get(name)
        if type(there).__qualname__ != value.of:
            raise UnusableCheckpointError(f"has a {value.of} in {type(holder).__name__}.{name}, which is not there now")
        if isinstance(there, defaultdict):
            there.clear()
            there.update(value.items[_CONTENTS])
        else:
            _put(there, value.items)


def _marks(holder: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    of_keras = _names_in_keras(type(holder))
    for name, value in _attributes(holder):
        if name in of_keras or is_plain(value) or _has_own_factory(value):
            continue
        if _is_holder(value):
            if id(value) not in seen:
                seen.add(id(value))
                yield from ((f"{name}.{inner}", mark) for inner, mark in _marks(value, seen))
        elif not _is_made_anew(value):
            yield name, _mark(value)


@dataclass(frozen=True)
class _Itself:
    """Wraps a value so that it equals only itself; it keeps the value alive so that its `id` is not used again."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.value is other.value


def _mark(value: Any, depth: int = 0) -> Any:
    """Return a mark to compare values: the items of a container, the identity of any other object."""
    if isinstance(value, Mapping) and depth < _DEEP:
        return [(_mark(key, depth + 1), _mark(item, depth + 1)) for key, item in value.items()]
    if isinstance(value, (list, tuple, set, frozenset, deque)) and depth < _DEEP:
        return [_mark(item, depth + 1) for item in value]
    return repr(value) if is_plain(value) else _Itself(value)


def _attributes(holder: Any) -> list[tuple[str, Any]]:
    left = set(_KERAS_SETS) if isinstance(holder, keras.callbacks.Callback) else set()
    if hasattr(holder, "monitor_op"):
        left.add("min_delta")  # Keras changes its sign after the first epoch that a fresh callback sees
    if isinstance(holder, keras.callbacks.CSVLogger):
        left |= {"append", "append_header"}  # whether it starts its file or appends to it
    return [(name, value) for name, value in vars(holder).items() if name not in left]


def _is_holder(value: Any) -> bool:
    is_object = (
        is_own(value.__class__) and not isinstance(value, (keras.Layer, type, *_MADE_ANEW)) and not callable(value)
    )
    return isinstance(value, keras.callbacks.Callback) or (is_object and hasattr(value, "__dict__"))


def _has_own_factory(value: Any) -> bool:
    return type(value) is defaultdict and not is_plain(value) and is_plain(dict(value))


def _is_made_anew(value: Any) -> bool:
    root = type(value).__module__.split(".")[0]
    return callable(value) or isinstance(value, _MADE_ANEW) or root in {"keras", "tensorflow", "autotune", "_thread"}


def _names_in_keras(kind: type) -> set[str]:
    functions = [
        one for base in kind.__mro__ if not is_own(base) for one in vars(base).values() if hasattr(one, "__code__")
    ]
    return {name for function in functions for name in function.__code__.co_names}
