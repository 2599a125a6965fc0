"""What the article tunes, as small functions for study files: each takes the trial, and suggests under plain names.

ranges        What a study file says of one hyperparameter: a range to search, or a value that is fixed
augmentation  Images that are moved, turned, zoomed and shaded a little anew in each epoch
losses        Losses for classes, all of which take one-hot targets: `StudySpec(one_hot=True)`
optimizers    Optimizers with hyperparameters of their own, which only those trials have that chose the optimizer
regularizers  What keeps a network from learning its training rows by heart
schedules     Learning-rate schedules, as callbacks for `fit`
structure     The structure of a convolutional network
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
