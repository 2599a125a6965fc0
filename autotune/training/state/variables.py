"""All variables that change while a network trains, found in the model, its parts and the callbacks.

What is covered: weights, seed generators (Keras's own too), and the variables of optimizers, the study file's own
metrics, losses, callbacks and the study file's own objects, as attributes or in lists, tuples, dicts and closures.
What is not covered: metrics of Keras, which are reset before every epoch; sets, because their order differs between
processes; objects of other packages.
"""

from __future__ import annotations

import functools
import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from autotune.keras_inside import seeds_of_keras

_OF_KERAS = (
    keras.Layer,
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.callbacks.Callback,
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.random.SeedGenerator,
    tf.Module,
    tf.random.Generator,
)
_VARIABLES = (keras.Variable, tf.Variable)
# Attributes in which Keras keeps its graph of layers, and objects that are found elsewhere too.
OF_GRAPHS = {"_inbound_nodes", "_outbound_nodes", "_nodes", "_nodes_by_depth", "_operations_by_depth", "_operations"}
OF_GRAPHS |= {"_tracker", "_losses", "_loss_ids", "_build_shapes_dict", "_call_signature", "_dtype_policy", "_model"}
TABLES = (tf.lookup.experimental.MutableHashTable, tf.lookup.experimental.DenseHashTable)
_CALLS = (types.MethodType, functools.partial)
_INSTALLED = {"site-packages", "dist-packages"}


def training_variables(model: keras.Model) -> list[Any]:
    """Return all variables that change while `model` trains, in a fixed order: those that Keras lists, then others."""
    optimizer = list(model.optimizer.variables) if model.optimizer is not None else []
    listed = (*model.variables, *optimizer, *seeds_of_keras())
    known = list({id(variable): variable for variable in listed}.values())
    reset = [variable for metric in _metrics(model) if not is_own(metric.__class__) for variable in metric.variables]
    return [*known, *held_variables(model, [*known, *reset])]


def _metrics(model: keras.Model) -> Iterator[keras.metrics.Metric]:
    """Yield the metrics of a model; of Keras's containers, which list the variables of all their metrics, the parts."""
    for metric in model.metrics:
        yield from getattr(metric, "metrics", None) or [metric]


def variables_elsewhere(model: keras.Model, step: tf.Graph) -> list[tf.Variable]:
    """Return the variables that a step of `model` uses and that `training_variables` does not find.

    Args:
        model: A model that has trained a step already, so that it has its variables.
        step: The step, from `trace_step`.
    """
    known = (*training_variables(model), *model.metrics_variables)
    ids = {id(one) for variable in known for one in _both(variable)}
    return [variable for variable in step.variables if id(variable) not in ids]


def trace_step(model: keras.Model, batch: tuple[Any, ...]) -> tf.Graph:
    """Return the graph of a training step, as Keras traces it. It creates the step's variables, and trains nothing.

    Args:
        model: A compiled model.
        batch: Inputs, targets if there are any, and weights if there are any, as tensors.
    """
    step = tf.function(lambda *batch: model.train_step(batch), autograph=False)
    return step.get_concrete_function(*batch).graph


def callback_variables(
    callbacks: Iterable[keras.callbacks.Callback], model: keras.Model, of_model: Iterable[Any]
) -> list[Any]:
    """Return the variables that `callbacks` hold and that are not in `of_model`, in a fixed order."""
    return held_variables(list(callbacks), [model, *of_model, *model.metrics_variables])


@functools.cache
def is_own(kind: type | types.FunctionType) -> bool:
    """Tell whether a class or function is from the study file or a file next to it, not from an installed package."""
    root = kind.__module__.split(".")[0]
    if root in {"autotune", "keras", "tensorflow"} or root in sys.stdlib_module_names - {"__main__"}:
        return False
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return file is None or _INSTALLED.isdisjoint(Path(file).parts)


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of `value` with their notation: ".optimizer", "[0]"; nothing if it has no parts."""
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, (list, tuple, deque)):
        yield from ((f"[{position}]", item) for position, item in enumerate(value))
    elif isinstance(value, types.FunctionType):
        names = value.__code__.co_freevars
        yield from ((f".{n}", cell) for n, cell in zip(names, _cells(value), strict=True))
    elif isinstance(value, types.MethodType):
        yield ".__self__", value.__self__
    elif isinstance(value, functools.partial):
        yield from parts([value.func, *value.args, *value.keywords.values()])
    elif _has_attributes(value.__class__):
        items = getattr(value, "__dict__", {}).items()
        yield from ((f".{name}", item) for name, item in items if name not in OF_GRAPHS)


def walk(root: Any, name: str, known: Iterable[Any] = ()) -> Iterator[tuple[str, Any]]:
    """Yield `root` and all objects below it with their names, each once and in a fixed order.

    Objects in `known`, and those below them, are left out. So are objects without parts, except iterators and tables,
    and the items of sets, which have no order.
    """
    seen = {id(one) for variable in known for one in _both(variable)}
    left, alive = [(name, root)], []  # temporary objects stay alive, so that their `id` is not used again
    while left:
        name, value = left.pop()
        if id(value) in seen:
            continue
        alive.append(value)
        seen.update(map(id, _both(value)))
        yield name, value
        if not _is_variable(value.__class__):
            if isinstance(value, keras.Layer) and value is not root:
                name = f"{type(value).__name__} {value.name!r}"
            left += [(name + at, item) for at, item in reversed([*parts(value)]) if _matters(item)]


def _matters(value: Any) -> bool:
    if isinstance(value, (dict, list, tuple, deque, set, frozenset)):
        return len(value) > 0
    if isinstance(value, types.FunctionType):
        return value.__closure__ is not None
    return _has_parts(value.__class__)


@functools.cache
def _has_parts(kind: type) -> bool:
    is_noted = issubclass(kind, (Iterator, *TABLES))
    return is_noted or _is_variable(kind) or _has_attributes(kind) or issubclass(kind, _CALLS)


@functools.cache
def _has_attributes(kind: type) -> bool:
    return issubclass(kind, _OF_KERAS) or is_own(kind)


@functools.cache
def _is_variable(kind: type) -> bool:
    return issubclass(kind, _VARIABLES)


def held_variables(root: Any, known: Iterable[Any]) -> list[Any]:
    """Return the variables that `root` holds and that are not in `known`."""
    return [value for _, value in walk(root, "", known) if _is_variable(value.__class__)]


def _both(variable: Any) -> tuple[Any, Any]:
    """Return a Keras variable and the TensorFlow variable inside it; any other object twice."""
    return variable, (getattr(variable, "_value", variable) if isinstance(variable, keras.Variable) else variable)


def _cells(function: types.FunctionType) -> list[Any]:
    return [_content(cell) for cell in function.__closure__ or ()]


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None
