"""Losses for classification; all take one-hot targets: `StudySpec(one_hot=True)`.

If trials use different losses, monitor a metric that does not depend on the loss: "val_accuracy", never "val_loss".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import optuna

from autotune.spaces.ranges import Float, call_one, suggest_float


def cross_entropy(trial: optuna.Trial) -> keras.losses.Loss:
    """Return cross-entropy."""
    return keras.losses.CategoricalCrossentropy()


def smoothed_cross_entropy(trial: optuna.Trial, *, label_smoothing: Float = (0.01, 0.2)) -> keras.losses.Loss:
    """Return cross-entropy with label smoothing (Szegedy et al., 2016).

    Args:
        trial: Suggests label_smoothing (log).
        label_smoothing: The share of a target that is spread over all classes, in (0, 1). Usual: 0.1 (Szegedy et al.).
    """
    return keras.losses.CategoricalCrossentropy(
        label_smoothing=suggest_float(trial, "label_smoothing", label_smoothing, usual=0.1, log=True)
    )


def mean_squared_error(trial: optuna.Trial) -> keras.losses.Loss:
    """Return the mean squared error of the probabilities (Brier, 1950)."""
    return keras.losses.MeanSquaredError()


def focal(trial: optuna.Trial, *, gamma: Float = (0.5, 5.0), alpha: Float = 1.0) -> keras.losses.Loss:
    """Return the focal loss (Lin et al., 2017): cross-entropy times alpha (1 - p) ** gamma.

    Args:
        trial: Suggests focal_gamma and focal_alpha.
        gamma: At least 0; 0 is cross-entropy. Usual: 2 (Lin et al.).
        alpha: Larger than 0. Usual: 0.25 (Lin et al.).
    """
    return keras.losses.CategoricalFocalCrossentropy(
        alpha=suggest_float(trial, "focal_alpha", alpha, usual=0.25),
        gamma=suggest_float(trial, "focal_gamma", gamma, usual=2.0),
    )


def loss(
    trial: optuna.Trial,
    choices: Sequence[Callable[[optuna.Trial], keras.losses.Loss]] = (
        cross_entropy,
        smoothed_cross_entropy,
        mean_squared_error,
        focal,
    ),
) -> keras.losses.Loss:
    """Return one of several losses.

    Args:
        trial: Suggests `loss`, the name of a function, and the hyperparameters of that function. Usual: cross_entropy
            (no source: our choice).
        choices: Functions such as `focal`, or the study file's own.
    """
    return call_one(trial, "loss", choices, usual="cross_entropy")
