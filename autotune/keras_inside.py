"""Access to Keras's private attributes: all layers of a model, a metric of each row, the epoch with which `fit` begins.

Besides this module only `training/fitting/grouping.py` (it replaces the functions that `fit` calls) and
`training/state/` use private attributes of Keras (see docs/architecture.md). This module does not load TensorFlow.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return a model and all its layers, also nested ones; `model.layers` has only the outermost."""
    return list(model._flatten_layers())


def rows_of(metric: keras.metrics.MeanMetricWrapper, y: Any, predicted: Any) -> Any:
    """Return the metric of each row; Keras itself returns only their mean."""
    return metric._fn(y, predicted, **metric._fn_kwargs)


def tokens_of(layer: keras.layers.TextVectorization, texts: Any) -> Any:
    """Return the tokens of texts as words; the layer itself returns their numbers."""
    return layer._preprocess(texts)


def begin_fit_at(model: keras.Model, epoch: int | None) -> None:
    """Make a running `fit` begin with an epoch, from 0, when `on_train_begin` has ended; None for its own argument.

    Keras's `BackupAndRestore` does the same. The attribute stays with the model until it is set again.
    """
    model._initial_epoch = epoch


def callbacks_of_fit() -> keras.callbacks.CallbackList | None:
    """Return the list of callbacks whose hook is being called; None if there is none. Keras gives it to no callback."""
    import keras

    lists = (one for one in _callers("self") if isinstance(one, keras.callbacks.CallbackList))
    return next(lists, None)


def batch_of_fit() -> Any:
    """Return the specification of a batch of the `fit` whose callback is being called: nested `tf.TensorSpec`.

    Raises:
        LookupError: If no `fit` of the TensorFlow backend is calling.
    """
    for iterator in _callers("epoch_iterator"):
        return iterator._distributed_dataset.element_spec
    raise LookupError("no fit is calling")


def _callers(name: str) -> Iterator[Any]:
    """Yield the values of a local variable in the functions that are being called, from the innermost outwards."""
    frame = inspect.currentframe()
    while frame is not None:
        if name in frame.f_locals:
            yield frame.f_locals[name]
        frame = frame.f_back


def strategy_of(optimizer: keras.optimizers.Optimizer) -> Any:
    """Return the TensorFlow strategy under which an optimizer was made."""
    return optimizer._distribution_strategy


def seeds_of_keras() -> list[keras.Variable]:
    """Return the state of the generator that `keras.random` uses without a seed; none before its first use."""
    from keras.src.backend.common import global_state

    generator = global_state.get_global_attribute("global_seed_generator")
    return [] if generator is None else [generator.state]


def writers_of(callback: keras.callbacks.TensorBoard) -> list[Any]:
    """Return the writers of event files of a callback."""
    return list(callback._writers.values())
