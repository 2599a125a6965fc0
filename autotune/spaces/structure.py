"""The structure of a convolutional network, as arguments of `models.build_cnn`, and how many rows a step sees."""

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
    """Return the arguments of `models.build_cnn` that make its structure.

    Args:
        trial: Suggests blocks, filters, kernel_size, pooling, dense_units and activation.
        blocks: Convolutions: a number, or the fewest and the most.
        filters: Filters of the first block; here and below one value, or all to choose from.
        kernel_size: Side of a convolution's window in pixels.
        pooling: "max" or "average".
        dense_units: Units of the hidden dense layer.
        activation: As Keras names it.
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
    """Return how many rows a step sees.

    Args:
        trial: Suggests batch_size.
        choices: One value, or all to choose from.
    """
    return suggest_one(trial, "batch_size", choices)
