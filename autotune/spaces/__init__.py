"""What the article tunes, as small functions for study files: each takes the trial, and suggests under plain names.

A number in place of a range fixes it. A study file that wants another set of choices writes its own list:
`spaces.optimizer(trial, [spaces.adam, spaces.sgd])`.
"""

from autotune.spaces.augmentation import augmentation
from autotune.spaces.losses import cross_entropy, focal, loss, mean_squared_error, smoothed_cross_entropy
from autotune.spaces.optimizers import adam, adamw, lion, nadam, optimizer, rmsprop, sgd
from autotune.spaces.regularizers import (
    batch_normalization,
    dropout,
    early_stopping,
    l1,
    l1_l2,
    l2,
    none,
    penalty,
    weight_decay,
)
from autotune.spaces.schedules import constant, cosine, exponential, on_plateau, schedule
from autotune.spaces.structure import batch_size, structure

__all__ = [
    "adam",
    "adamw",
    "augmentation",
    "batch_normalization",
    "batch_size",
    "constant",
    "cosine",
    "cross_entropy",
    "dropout",
    "early_stopping",
    "exponential",
    "focal",
    "l1",
    "l1_l2",
    "l2",
    "lion",
    "loss",
    "mean_squared_error",
    "nadam",
    "none",
    "on_plateau",
    "optimizer",
    "penalty",
    "rmsprop",
    "schedule",
    "sgd",
    "smoothed_cross_entropy",
    "structure",
    "weight_decay",
]
