"""The structure of a convolutional network, as arguments of `models.build_cnn`, and the batch size."""

from __future__ import annotations

from typing import TypedDict

import optuna

from autotune.models import Pooling
from autotune.spaces.ranges import Choice, Int, suggest_int, suggest_one


class Structure(TypedDict):
    """Arguments of `models.build_cnn`."""

    blocks: int
    filters: int
    kernel_size: int
    pooling: Pooling
    dense_units: int
    activation: str


def structure(
    trial: optuna.Trial,
    *,
    blocks: Int = (1, 4),
    filters: Choice[int] = (16, 32, 64),
    kernel_size: Choice[int] = (3, 5),
    pooling: Choice[Pooling] = ("max", "average"),
    dense_units: Choice[int] = (32, 64, 128, 256),
    activation: Choice[str] = ("relu", "elu", "gelu"),
) -> Structure:
    """Return the arguments of `models.build_cnn` that define the structure of the network.

    Args:
        trial: Suggests blocks, filters, kernel_size, pooling, dense_units and activation.
        blocks: Number of convolutions: a fixed value, or the smallest and the largest number. Usual: 2 (Keras's example
            "Simple MNIST convnet").
        filters: Filters of the first block; here and below a fixed value, or the list of all choices. Usual: 32 (the
            same).
        kernel_size: Side of a convolution's window in pixels. Usual: 3 (the same; Simonyan and Zisserman, 2015).
        pooling: "max" or "average". Usual: "max" (the same).
        dense_units: Units of the hidden dense layer. Usual: 128 (TensorFlow's first example for MNIST).
        activation: The activation, by Keras's name. Usual: "relu" (Keras's example, Krizhevsky et al., 2012).
    """
    return {
        "blocks": suggest_int(trial, "blocks", blocks, usual=2),
        "filters": suggest_one(trial, "filters", filters, usual=32),
        "kernel_size": suggest_one(trial, "kernel_size", kernel_size, usual=3),
        "pooling": suggest_one(trial, "pooling", pooling, usual="max"),
        "dense_units": suggest_one(trial, "dense_units", dense_units, usual=128),
        "activation": suggest_one(trial, "activation", activation, usual="relu"),
    }


def batch_size(trial: optuna.Trial, choices: Choice[int] = (32, 64, 128, 256)) -> int:
    """Return the batch size: the number of rows in one training step.

    Args:
        trial: Suggests batch_size.
        choices: A fixed value, or the list of all choices. Usual: 32 (the default of Keras's `fit`; Masters and Luschi,
            2018).
    """
    return suggest_one(trial, "batch_size", choices, usual=32)
