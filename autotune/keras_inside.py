"""Access to Keras's private attributes: all layers of a model, a metric of each row, the tokens of a text layer.

Besides this module only `training/fitting/grouping.py` (it replaces the functions that `fit` calls) and
`training/state/` use private attributes of Keras (see docs/architecture.md). This module does not load TensorFlow.
"""

from __future__ import annotations

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


def strategy_of(optimizer: keras.optimizers.Optimizer) -> Any:
    """Return the TensorFlow strategy under which an optimizer was made."""
    return optimizer._distribution_strategy


def writers_of(callback: keras.callbacks.TensorBoard) -> list[Any]:
    """Return the writers of event files of a callback."""
    return list(callback._writers.values())
