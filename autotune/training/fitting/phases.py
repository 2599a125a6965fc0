"""A callback that tells the timer what Keras does: tracing, training, validation."""

from __future__ import annotations

from typing import Any

import keras

from autotune.training.records import Timer


class PhaseWatch(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    """Tells a timer the phases of `fit`. It has hooks for the start of batches only, as those at the end cost time.

    Tracing counts as lasting until the end of the first batch or group of batches.

    Args:
        timer: The timer.
    """

    groups_from = 1

    def __init__(self, timer: Timer) -> None:
        super().__init__()
        self._timer = timer
        self._is_traced = {"training": False, "validation": False}

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._timer.turn_to("training")

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not self._is_traced["training"]:
            self._is_traced["training"] = batch > 0
            self._timer.turn_to("training" if batch else "tracing")

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._timer.turn_to("validation")

    def on_test_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not self._is_traced["validation"]:
            self._is_traced["validation"] = batch > 0
            self._timer.turn_to("validation" if batch else "tracing")

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        self._timer.turn_to("the rest")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._is_traced = {"training": True, "validation": True}
        self._timer.turn_to("the rest")
