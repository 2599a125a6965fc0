"""Regularization against overfitting: penalties, dropout, weight decay, batch normalization, early stopping."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import optuna

from autotune.spaces.ranges import Float, Int, call_one, suggest_float, suggest_int, suggest_one

_STRENGTH = (1e-6, 1e-2)
_USUAL_L1, _USUAL_L2 = 1e-5, 1e-4


def none(trial: optuna.Trial) -> None:
    """Return no penalty."""


def l1(trial: optuna.Trial, *, strength: Float = _STRENGTH) -> keras.regularizers.Regularizer:
    """Return an L1 penalty, which makes weights zero.

    Args:
        trial: Suggests l1 (log).
        strength: At least 0; a range begins above it. Usual: 1e-5 (no source: our choice).
    """
    return keras.regularizers.L1(suggest_float(trial, "l1", strength, usual=_USUAL_L1, log=True))


def l2(trial: optuna.Trial, *, strength: Float = _STRENGTH) -> keras.regularizers.Regularizer:
    """Return an L2 penalty, which makes weights small.

    Args:
        trial: Suggests l2 (log).
        strength: At least 0; a range begins above it. Usual: 1e-4 (He et al., 2016: their "weight decay").
    """
    return keras.regularizers.L2(suggest_float(trial, "l2", strength, usual=_USUAL_L2, log=True))


def l1_l2(trial: optuna.Trial, *, l1: Float = _STRENGTH, l2: Float = _STRENGTH) -> keras.regularizers.Regularizer:
    """Return both penalties, the elastic net (Zou and Hastie, 2005).

    Args:
        trial: Suggests l1 and l2 (both log).
        l1: At least 0; a range begins above it. Usual: 1e-5, as in `l1`.
        l2: At least 0; a range begins above it. Usual: 1e-4, as in `l2`.
    """
    return keras.regularizers.L1L2(
        l1=suggest_float(trial, "l1", l1, usual=_USUAL_L1, log=True),
        l2=suggest_float(trial, "l2", l2, usual=_USUAL_L2, log=True),
    )


def penalty(
    trial: optuna.Trial,
    choices: Sequence[Callable[[optuna.Trial], keras.regularizers.Regularizer | None]] = (none, l1, l2, l1_l2),
) -> keras.regularizers.Regularizer | None:
    """Return one of several penalties of the weights; None for none.

    Args:
        trial: Suggests `penalty`, the name of a function, and the hyperparameters of that function. Usual: none, as in
            Keras's layers.
        choices: Functions such as `l2`, or the study file's own.
    """
    return call_one(trial, "penalty", choices, usual="none")


def dropout(trial: optuna.Trial, rate: Float = (0.0, 0.6)) -> float:
    """Return the share of features to drop (Srivastava et al., 2014).

    Args:
        trial: Suggests dropout.
        rate: In [0, 1). Usual: 0.2 (TensorFlow's first example for MNIST; Srivastava et al. take 0.5 in hidden layers).
    """
    return suggest_float(trial, "dropout", rate, usual=0.2)


def weight_decay(trial: optuna.Trial, rate: Float = (1e-5, 1e-1)) -> float:
    """Return a weight decay (Loshchilov and Hutter, 2019): each step subtracts this share, times the learning rate.

    Use it with any optimizer: `keras.optimizers.SGD(..., weight_decay=spaces.weight_decay(trial))`.

    Args:
        trial: Suggests weight_decay (log).
        rate: At least 0; a range begins above it. Usual: 0.004 (the default of Keras's AdamW).
    """
    return suggest_float(trial, "weight_decay", rate, usual=0.004, log=True)


def batch_normalization(trial: optuna.Trial) -> bool:
    """Suggest whether features are normalized in each batch (Ioffe and Szegedy, 2015).

    Args:
        trial: Suggests batch_normalization. Usual: False (as in Keras's example "Simple MNIST convnet"; with
            Keras's momentum of 0.99 it needs some hundreds of steps, which small data and few epochs do not have).
    """
    return suggest_one(trial, "batch_normalization", [False, True], usual=False)


def early_stopping(trial: optuna.Trial, monitor: str, *, patience: Int = (3, 10)) -> list[keras.callbacks.Callback]:
    """Return Keras's EarlyStopping, as callbacks for `fit`.

    Args:
        trial: Suggests early_stopping_patience.
        monitor: The metric to watch, e.g. "val_accuracy".
        patience: Number of epochs without improvement before training stops, at least 1. Usual: 5 (no source: our
            choice).
    """
    epochs = suggest_int(trial, "early_stopping_patience", patience, usual=5)
    return [keras.callbacks.EarlyStopping(monitor, patience=epochs)]
