"""Optimizers with their own conditional hyperparameters: a trial has only those of the optimizer that it chose.

A tuple is a range to search, and a number is a fixed value. Hyperparameters close to 1 are searched as their distance
from 1, on a logarithmic scale, as in Google's "Deep Learning Tuning Playbook". Where a usual value comes from
"Keras", it is the default of Keras's optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import optuna

from autotune.spaces.ranges import Choice, Float, call_one, suggest_float, suggest_one

_ONE_MINUS_BETA_1 = (0.02, 0.5)
_ONE_MINUS_BETA_2 = (1e-4, 0.1)
_EPSILON = (1e-8, 1e-2)


def sgd(
    trial: optuna.Trial,
    *,
    learning_rate: Float = (1e-3, 0.5),
    one_minus_momentum: Float = (0.01, 1.0),
    nesterov: Choice[bool] = (False, True),
) -> keras.optimizers.Optimizer:
    """Return stochastic gradient descent with momentum; Sutskever et al. (2013) for Nesterov's.

    Args:
        trial: Suggests sgd_learning_rate, sgd_one_minus_momentum (both log) and sgd_nesterov.
        learning_rate: Larger than 0. Usual: 0.01 (Keras; Krizhevsky et al., 2012).
        one_minus_momentum: 1 for no momentum, 0.1 for one of 0.9. Usual: 0.1 (Krizhevsky et al., 2012).
        nesterov: One or both. Usual: True (the Playbook's preference).
    """
    return keras.optimizers.SGD(
        suggest_float(trial, "sgd_learning_rate", learning_rate, usual=0.01, log=True),
        momentum=1.0 - suggest_float(trial, "sgd_one_minus_momentum", one_minus_momentum, usual=0.1, log=True),
        nesterov=suggest_one(trial, "sgd_nesterov", nesterov, usual=True),
    )


def adam(
    trial: optuna.Trial,
    *,
    learning_rate: Float = (1e-4, 1e-2),
    one_minus_beta_1: Float = _ONE_MINUS_BETA_1,
    one_minus_beta_2: Float = _ONE_MINUS_BETA_2,
    epsilon: Float = _EPSILON,
    amsgrad: Choice[bool] = (False, True),
) -> keras.optimizers.Optimizer:
    """Return Adam (Kingma and Ba, 2015), with AMSGrad (Reddi et al., 2018) as a choice.

    Args:
        trial: Suggests adam_learning_rate, adam_one_minus_beta_1, adam_one_minus_beta_2, adam_epsilon (all log) and
            adam_amsgrad.
        learning_rate: Larger than 0. Usual: 0.001 (Keras).
        one_minus_beta_1: Usual: 0.1 (Keras).
        one_minus_beta_2: Usual: 0.001 (Keras).
        epsilon: Usual: 1e-7 (Keras).
        amsgrad: One or both. Usual: False (Keras).
    """
    return keras.optimizers.Adam(
        suggest_float(trial, "adam_learning_rate", learning_rate, usual=1e-3, log=True),
        beta_1=1.0 - suggest_float(trial, "adam_one_minus_beta_1", one_minus_beta_1, usual=0.1, log=True),
        beta_2=1.0 - suggest_float(trial, "adam_one_minus_beta_2", one_minus_beta_2, usual=0.001, log=True),
        epsilon=suggest_float(trial, "adam_epsilon", epsilon, usual=1e-7, log=True),
        amsgrad=suggest_one(trial, "adam_amsgrad", amsgrad, usual=False),
    )


def adamw(
    trial: optuna.Trial,
    *,
    learning_rate: Float = (1e-4, 1e-2),
    weight_decay: Float = (1e-5, 1e-1),
    one_minus_beta_1: Float = _ONE_MINUS_BETA_1,
    one_minus_beta_2: Float = _ONE_MINUS_BETA_2,
    epsilon: Float = 1e-7,
) -> keras.optimizers.Optimizer:
    """Return AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    Args:
        trial: Suggests adamw_learning_rate, adamw_weight_decay, adamw_one_minus_beta_1, adamw_one_minus_beta_2 and
            adamw_epsilon, all log.
        learning_rate: Larger than 0. Usual: 0.001 (Keras).
        weight_decay: Share of the weights, times the learning rate, that each step takes away. Usual:
            0.004 (Keras).
        one_minus_beta_1: Usual: 0.1 (Keras).
        one_minus_beta_2: Usual: 0.001 (Keras).
        epsilon: Usual: 1e-7 (Keras).
    """
    return keras.optimizers.AdamW(
        suggest_float(trial, "adamw_learning_rate", learning_rate, usual=1e-3, log=True),
        weight_decay=suggest_float(trial, "adamw_weight_decay", weight_decay, usual=0.004, log=True),
        beta_1=1.0 - suggest_float(trial, "adamw_one_minus_beta_1", one_minus_beta_1, usual=0.1, log=True),
        beta_2=1.0 - suggest_float(trial, "adamw_one_minus_beta_2", one_minus_beta_2, usual=0.001, log=True),
        epsilon=suggest_float(trial, "adamw_epsilon", epsilon, usual=1e-7, log=True),
    )


def rmsprop(
    trial: optuna.Trial,
    *,
    learning_rate: Float = (1e-4, 1e-2),
    one_minus_rho: Float = (1e-3, 0.5),
    momentum: Float = (0.0, 0.95),
    epsilon: Float = 1e-7,
) -> keras.optimizers.Optimizer:
    """Return RMSprop (Tieleman and Hinton, 2012).

    Args:
        trial: Suggests rmsprop_learning_rate, rmsprop_one_minus_rho, rmsprop_epsilon (log) and rmsprop_momentum.
        learning_rate: Larger than 0. Usual: 0.001 (Keras).
        one_minus_rho: Usual: 0.1 (Keras).
        momentum: In [0, 1). Usual: 0 (Keras).
        epsilon: Usual: 1e-7 (Keras).
    """
    return keras.optimizers.RMSprop(
        suggest_float(trial, "rmsprop_learning_rate", learning_rate, usual=1e-3, log=True),
        rho=1.0 - suggest_float(trial, "rmsprop_one_minus_rho", one_minus_rho, usual=0.1, log=True),
        momentum=suggest_float(trial, "rmsprop_momentum", momentum, usual=0.0),
        epsilon=suggest_float(trial, "rmsprop_epsilon", epsilon, usual=1e-7, log=True),
    )


def nadam(
    trial: optuna.Trial,
    *,
    learning_rate: Float = (1e-4, 1e-2),
    one_minus_beta_1: Float = _ONE_MINUS_BETA_1,
    one_minus_beta_2: Float = _ONE_MINUS_BETA_2,
    epsilon: Float = _EPSILON,
) -> keras.optimizers.Optimizer:
    """Return Nadam: Adam with Nesterov momentum (Dozat, 2016).

    Args:
        trial: Suggests nadam_learning_rate, nadam_one_minus_beta_1, nadam_one_minus_beta_2 and nadam_epsilon, all log.
        learning_rate: Larger than 0. Usual: 0.001 (Keras).
        one_minus_beta_1: Usual: 0.1 (Keras).
        one_minus_beta_2: Usual: 0.001 (Keras).
        epsilon: Usual: 1e-7 (Keras).
    """
    return keras.optimizers.Nadam(
        suggest_float(trial, "nadam_learning_rate", learning_rate, usual=1e-3, log=True),
        beta_1=1.0 - suggest_float(trial, "nadam_one_minus_beta_1", one_minus_beta_1, usual=0.1, log=True),
        beta_2=1.0 - suggest_float(trial, "nadam_one_minus_beta_2", one_minus_beta_2, usual=0.001, log=True),
        epsilon=suggest_float(trial, "nadam_epsilon", epsilon, usual=1e-7, log=True),
    )


def lion(
    trial: optuna.Trial,
    *,
    learning_rate: Float = (1e-5, 1e-3),
    weight_decay: Float = (1e-4, 1.0),
    one_minus_beta_1: Float = _ONE_MINUS_BETA_1,
    one_minus_beta_2: Float = (1e-3, 0.1),
) -> keras.optimizers.Optimizer:
    """Return Lion (Chen et al., 2023): smaller learning rates and more weight decay than Adam.

    Args:
        trial: Suggests lion_learning_rate, lion_weight_decay, lion_one_minus_beta_1 and lion_one_minus_beta_2, all log.
        learning_rate: Larger than 0. Usual: 1e-4, a tenth of AdamW's (Chen et al.: a third to a tenth).
        weight_decay: Share of the weights, times the learning rate, that each step takes away. Usual:
            0.04, ten times AdamW's (Chen et al.: three to ten times).
        one_minus_beta_1: Usual: 0.1 (Keras).
        one_minus_beta_2: Usual: 0.01 (Keras, and Chen et al.).
    """
    return keras.optimizers.Lion(
        suggest_float(trial, "lion_learning_rate", learning_rate, usual=1e-4, log=True),
        weight_decay=suggest_float(trial, "lion_weight_decay", weight_decay, usual=0.04, log=True),
        beta_1=1.0 - suggest_float(trial, "lion_one_minus_beta_1", one_minus_beta_1, usual=0.1, log=True),
        beta_2=1.0 - suggest_float(trial, "lion_one_minus_beta_2", one_minus_beta_2, usual=0.01, log=True),
    )


def optimizer(
    trial: optuna.Trial,
    choices: Sequence[Callable[[optuna.Trial], keras.optimizers.Optimizer]] = (sgd, adam, adamw, rmsprop, nadam, lion),
) -> keras.optimizers.Optimizer:
    """Return one of several optimizers with hyperparameters of its own.

    Args:
        trial: Suggests `optimizer`, the name of a function, and the hyperparameters of that function. Usual: adam (our
            choice among those that the Playbook likes: SGD with momentum, Adam, Nadam).
        choices: Functions such as `sgd`, or the study file's own `def adam(trial): ...`.
    """
    return call_one(trial, "optimizer", choices, usual="adam")
