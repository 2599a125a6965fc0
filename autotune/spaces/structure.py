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
        blocks: Number of convolutions: a fixed value, or the smallest and the largest number.
        filters: Filters of the first block; here and below a fixed value, or the list of all choices.
        kernel_size: Side of a convolution's window in pixels.
        pooling: "max" or "average".
        dense_units: Units of the hidden dense layer.
        activation: The activation, by Keras's name.
    """
    return {
        "blocks": suggest_int(trial, "blocks", blocks),
        "filters": suggest_one(trial, "filters", filters),
        "kernel_size": suggest_one(trial, "kernel_size", kernel_size),
        "pooling": suggest_one(trial, "pooling", pooling),
        "dense_units": suggest_one(trial, "dense_units", dense_units),
        "activation": suggest_one(trial, "activation", activation),
    }


def batch_size(trial: optuna.Trial, choices: Choice[int] = (32, 64, 128, 256)) -> int:
    """Return the batch size: the number of rows in one training step.

    Args:
        trial: Suggests batch_size.
        choices: A fixed value, or the list of all choices.
    """
    return suggest_one(trial, "batch_size", choices)
