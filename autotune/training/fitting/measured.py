"""The metrics and weights of an epoch before other callbacks change them, so that the saved model fits its metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

_CHANGING = ("on_test_begin", "on_test_end", "on_epoch_end")
# These callbacks do not change weights before training has ended.
_HARMLESS = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.CSVLogger,
)
_TOLERANCE = 1e-4  # relative: the same weights on the same rows differ by rounding at most


class Measured(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    """The first callback of `fit`: it sees an epoch's metrics and weights before other callbacks change them.

    A callback such as `SwapEMAWeights` sets other weights during validation. If there are no validation rows, this
    class calls the callback's hooks as if there were some, to get the weights that would be measured.

    Args:
        callbacks: The study file's own callbacks.
        validates: Whether there are validation rows.

    Attributes:
        names: The metrics that Keras itself, or the study file's `score`, reported for the last epoch.
        weights: The model's weights at the measurement, in the model's order; None if no callback can change them.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback], validates: bool) -> None:
        super().__init__()
        changing = [one for one in callbacks if _overrides(one, _CHANGING) and type(one) not in _HARMLESS]
        self._watches = validates and bool(changing)
        self._swapping = [] if validates else [one for one in changing if _overrides(one, _CHANGING[:1])]
        self.names: frozenset[str] = frozenset()
        self.weights: list[npt.NDArray[Any]] | None = None

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._watches:
            self._note_weights()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.names = frozenset(logs or ())
        if not self._swapping:
            return
        for callback in self._swapping:
            callback.on_test_begin()
        self._note_weights()
        for callback in self._swapping:
            callback.on_test_end(dict(logs or {}))

    def _note_weights(self) -> None:
        self.weights = [np.asarray(weight.numpy()) for weight in self.model.weights]


def compare(history: Mapping[str, Sequence[float]], best_epoch: int, again: Mapping[str, Any], monitor: str) -> str:
    """Describe how a second measurement of a model differs from its history; "" if it does not.

    Args:
        history: The recorded values, by metric.
        best_epoch: The epoch of the model's weights, from 1.
        again: The result of `evaluate` on the validation rows, by metric without "val_".
        monitor: The metric that counts; if `evaluate` does not return it, the loss is compared.
    """
    name = monitor if monitor.removeprefix("val_") in again and monitor.startswith("val_") else "val_loss"
    now = again.get(name.removeprefix("val_"))
    if name not in history or now is None or np.ndim(now) != 0:
        return ""
    recorded = history[name][best_epoch - 1]
    if math.isclose(recorded, float(now), rel_tol=_TOLERANCE, abs_tol=1e-7):
        return ""
    return (
        f"{name} of the model of epoch {best_epoch} is {float(now):.6g} when it is measured again, not {recorded:.6g}"
    )


def _overrides(callback: keras.callbacks.Callback, hooks: Sequence[str]) -> bool:
    kind, plain = type(callback), keras.callbacks.Callback
    return any(name in vars(callback) or getattr(kind, name) is not getattr(plain, name) for name in hooks)
