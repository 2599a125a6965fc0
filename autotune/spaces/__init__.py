"""Search spaces for study files: functions that suggest the hyperparameters that the article tunes.

ranges        The declaration of one hyperparameter: a range to search, or a fixed value
augmentation  Random changes of images in each epoch: shift, rotation, zoom, contrast, flip
losses        Losses for classification; all take one-hot targets: `StudySpec(one_hot=True)`
optimizers    Optimizers with their own conditional hyperparameters
regularizers  Regularization against overfitting: penalties, dropout, weight decay, batch normalization, early stopping
schedules     Learning-rate schedules, as callbacks for `fit`
structure     The structure of a convolutional network, as arguments of `models.build_cnn`, and the batch size
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
