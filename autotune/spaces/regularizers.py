"""Regularization against overfitting: penalties, dropout, weight decay, batch normalization, early stopping."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import optuna

from autotune.spaces.ranges import Float, Int, suggest_float, suggest_function, suggest_int

_STRENGTH = (1e-6, 1e-2)


def none(trial: optuna.Trial) -> None:
    """Return no penalty."""


def l1(trial: optuna.Trial, *, strength: Float = _STRENGTH) -> keras.regularizers.Regularizer:
    """Return an L1 penalty, which makes weights zero.

    Args:
        trial: Suggests l1 (log).
        strength: At least 0; a range begins above it.
    """
    return keras.regularizers.L1(suggest_float(trial, "l1", strength, log=True))


def l2(trial: optuna.Trial, *, strength: Float = _STRENGTH) -> keras.regularizers.Regularizer:
    """Return an L2 penalty, which makes weights small.

    Args:
        trial: Suggests l2 (log).
        strength: At least 0; a range begins above it.
    """
    return keras.regularizers.L2(suggest_float(trial, "l2", strength, log=True))


def l1_l2(trial: optuna.Trial, *, l1: Float = _STRENGTH, l2: Float = _STRENGTH) -> keras.regularizers.Regularizer:
    """Return both penalties, the elastic net (Zou and Hastie, 2005).

    Args:
        trial: Suggests l1 and l2 (both log).
        l1: At least 0; a range begins above it.
        l2: At least 0; a range begins above it.
    """
    return keras.regularizers.L1L2(
        l1=suggest_float(trial, "l1", l1, log=True), l2=suggest_float(trial, "l2", l2, log=True)
    )


def penalty(
    trial: optuna.Trial,
    choices: Sequence[Callable[[optuna.Trial], keras.regularizers.Regularizer | None]] = (none, l1, l2, l1_l2),
) -> keras.regularizers.Regularizer | None:
    """Return one of several penalties of the weights; None for none.

    Args:
        trial: Suggests `penalty`, the name of a function, and the hyperparameters of that function.
        choices: Functions such as `l2`, or the study file's own.
    """
    return suggest_function(trial, "penalty", choices)(trial)


def dropout(trial: optuna.Trial, rate: Float = (0.0, 0.6)) -> float:
    """Return the share of features to drop (Srivastava et al., 2014).

    Args:
        trial: Suggests dropout.
        rate: In [0, 1).
    """
    return suggest_float(trial, "dropout", rate)


def weight_decay(trial: optuna.Trial, rate: Float = (1e-5, 1e-1)) -> float:
    """Return a weight decay (Loshchilov and Hutter, 2019): each step subtracts this share, times the learning rate.

    Use it with any optimizer: `keras.optimizers.SGD(..., weight_decay=spaces.weight_decay(trial))`.

    Args:
        trial: Suggests weight_decay (log).
        rate: At least 0; a range begins above it.
    """
    return suggest_float(trial, "weight_decay", rate, log=True)


def batch_normalization(trial: optuna.Trial) -> bool:
    """Suggest whether features are normalized in each batch (Ioffe and Szegedy, 2015).

    Args:
        trial: Suggests batch_normalization.
    """
    chosen: bool = trial.suggest_categorical("batch_normalization", [False, True])
    return chosen


def early_stopping(trial: optuna.Trial, monitor: str, *, patience: Int = (3, 10)) -> list[keras.callbacks.Callback]:
    """Return Keras's EarlyStopping, as callbacks for `fit`.

    Args:
        trial: Suggests early_stopping_patience.
        monitor: The metric to watch, e.g. "val_accuracy".
        patience: Number of epochs without improvement before training stops, at least 1.
    """
    epochs = suggest_int(trial, "early_stopping_patience", patience)
    return [keras.callbacks.EarlyStopping(monitor, patience=epochs)]
