"""Learning-rate schedules, as callbacks for `fit`: they work with any optimizer, and a checkpoint holds their state.

Legend: t in [0, 1] is the share of the training that is done; the learning rate is the optimizer's own times s(t).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import optuna

from autotune.spaces.ranges import Float, Int, call_one, suggest_float, suggest_int

_FLOOR = (1e-3, 0.3)


class LearningRate(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    """Sets the learning rate before each batch to a share of the optimizer's own.

    In epochs of 64 batches or more, TensorFlow may train on several batches in one call (`steps_per_execution`). All
    batches of such a group then have the learning rate of the middle of the group.

    Args:
        share: The function s(t), at least 0.
        epochs: Epochs of the whole training, at least 1; after them t stays 1.
    """

    groups_from = 64  # batches per epoch: a group of 16 is then at most a quarter of an epoch

    def __init__(self, share: Callable[[float], float], epochs: int) -> None:
        super().__init__()
        self._share = share
        self._epochs = epochs
        self.base = 0.0
        self.epoch = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.base = float(self.model.optimizer.learning_rate)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        steps = self.params["steps"]
        middle = batch + (min(self.model.steps_per_execution, steps - batch) - 1) / 2
        done = (self.epoch + middle / steps) / self._epochs
        self.model.optimizer.learning_rate = self.base * self._share(min(done, 1.0))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def constant(trial: optuna.Trial, epochs: int) -> list[keras.callbacks.Callback]:
    """Return no callback: s(t) = 1."""
    return []


def cosine(
    trial: optuna.Trial, epochs: int, *, warmup: Float = (0.0, 0.3), floor: Float = 0.0
) -> list[keras.callbacks.Callback]:
    """Return linear warm-up followed by half a cosine (Loshchilov and Hutter, 2017).

    s(t) = t / warmup up to t = warmup, then floor + (1 - floor) (1 + cos(pi (t - warmup) / (1 - warmup))) / 2.

    Args:
        trial: Suggests cosine_warmup and cosine_floor (log, if it is a range).
        epochs: Epochs of the whole training.
        warmup: Share of the training, in [0, 1). Usual: 0.05 (Goyal et al., 2017: 5 of 90 epochs).
        floor: s(1), in [0, 1]. Usual: 0 (Loshchilov and Hutter), so the low end of a range.
    """
    up = suggest_float(trial, "cosine_warmup", warmup, usual=0.05)
    low = suggest_float(trial, "cosine_floor", floor, usual=0.0, log=True)

    def share(t: float) -> float:
        if t < up:
            return t / up
        return low + (1 - low) * (1 + math.cos(math.pi * (t - up) / (1 - up))) / 2

    return [LearningRate(share, epochs)]


def exponential(trial: optuna.Trial, epochs: int, *, floor: Float = _FLOOR) -> list[keras.callbacks.Callback]:
    """Return exponential decay: s(t) = floor ** t.

    Args:
        trial: Suggests exponential_floor (log).
        epochs: Epochs of the whole training.
        floor: s(1), in (0, 1]. Usual: 0.01 (no source: our choice).
    """
    low = suggest_float(trial, "exponential_floor", floor, usual=0.01, log=True)
    return [LearningRate(lambda t: low**t, epochs)]


def on_plateau(
    trial: optuna.Trial,
    epochs: int,
    *,
    monitor: str = "val_loss",
    factor: Float = (0.1, 0.7),
    patience: Int = (1, 5),
) -> list[keras.callbacks.Callback]:
    """Return Keras's ReduceLROnPlateau: times `factor` after `patience` epochs without a better `monitor`.

    Args:
        trial: Suggests plateau_factor and plateau_patience.
        epochs: Not used; an argument because all schedules have the same arguments.
        monitor: The metric to watch.
        factor: In (0, 1). Usual: 0.2 (the example in Keras's documentation of it).
        patience: Epochs, at least 1. Usual: 3 (no source: our choice; Keras's default, 10, is more than most searches
            train).
    """
    return [
        keras.callbacks.ReduceLROnPlateau(
            monitor,
            factor=suggest_float(trial, "plateau_factor", factor, usual=0.2),
            patience=suggest_int(trial, "plateau_patience", patience, usual=3),
        )
    ]


def schedule(
    trial: optuna.Trial,
    epochs: int,
    choices: Sequence[Callable[[optuna.Trial, int], list[keras.callbacks.Callback]]] = (
        constant,
        cosine,
        exponential,
        on_plateau,
    ),
) -> list[keras.callbacks.Callback]:
    """Return one of several schedules, as callbacks for `fit`.

    Args:
        trial: Suggests `schedule`, the name of a function, and the hyperparameters of that function. Usual: cosine (the
            Playbook prefers it or linear decay).
        epochs: Epochs of the whole training, as the study file declares them.
        choices: Functions such as `cosine`, or the study file's own `def slow(trial, epochs): ...`.
    """
    return call_one(trial, "schedule", choices, epochs, usual="cosine")
