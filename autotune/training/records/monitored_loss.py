"""A description of a monitored loss, which must be the same in all trials so that their values can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autotune.keras_inside import all_layers

if TYPE_CHECKING:
    import keras

MONITORED_LOSS = "monitored_loss"
"""The user attribute that describes the loss with its penalties; set only if the study monitors the loss."""


def is_loss(monitor: str | None) -> bool:
    """Tell whether a metric is the loss (with penalties) on training or validation rows."""
    return monitor in ("loss", "val_loss")


def describe_loss(model: keras.Model) -> str:
    """Describe a compiled model's loss and its penalties of weights, in a text to compare and to read."""
    penalties = sorted({_plain(penalty) for layer in all_layers(model) for penalty in _penalties(layer)})
    return " + ".join([_plain(model.loss), *penalties])


def _penalties(layer: keras.layers.Layer) -> Iterator[Any]:
    for name in ("kernel_regularizer", "bias_regularizer", "activity_regularizer", "embeddings_regularizer"):
        if (found := getattr(layer, name, None)) is not None:
            yield found


def _plain(part: Any) -> str:
    """Return the name of a loss or penalty with its arguments."""
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        return json.dumps({str(key): _plain(value) for key, value in part.items()}, sort_keys=True)
    if isinstance(part, Sequence):
        return json.dumps([_plain(value) for value in part])
    config = part.get_config() if callable(getattr(part, "get_config", None)) else {}
    name = getattr(part, "__name__", type(part).__name__)
    made_with = ", ".join(f"{key}={value!r}" for key, value in sorted(config.items()) if key not in ("name", "fn"))
    return f"{name}({made_with})" if made_with else str(name)
