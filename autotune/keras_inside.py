"""What all rooms lean on of Keras's inside: all layers of a model, the function in a metric, what a tokenizer makes.

Nobody else looks there, but for `training/fitting/grouping.py`, which stands in for the functions that `fit` calls, and
`training/state/`, which knows what Keras lists elsewhere too (see docs/architecture.md). TensorFlow is not loaded here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return a model and all its layers, those within others too: `model.layers` has the outermost alone."""
    return list(model._flatten_layers())


def rows_of(metric: keras.metrics.MeanMetricWrapper, y: Any, predicted: Any) -> Any:
    """Return a metric of each row, of which Keras tells the mean."""
    return metric._fn(y, predicted, **metric._fn_kwargs)


def tokens_of(layer: keras.layers.TextVectorization, texts: Any) -> Any:
    """Return texts in the words that a layer numbers, of which it tells the numbers."""
    return layer._preprocess(texts)


def strategy_of(optimizer: keras.optimizers.Optimizer) -> Any:
    """Return TensorFlow's strategy that an optimizer was made under."""
    return optimizer._distribution_strategy


def writers_of(callback: keras.callbacks.TensorBoard) -> list[Any]:
    """Return what a callback writes event files with."""
    return list(callback._writers.values())
