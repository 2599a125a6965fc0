"""Training on all development rows: nothing is left to validate on, so that earlier runs say for how long to train."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autotune.study import StudySpec

if TYPE_CHECKING:
    import keras

_VALIDATION = "val_"


@dataclass(frozen=True)
class Refit:
    """How to train without validation rows.

    Attributes:
        epochs: For how many epochs, at least 1.
        learning_rates: The learning rate of each epoch; empty for what optimizer and callbacks make of it.
    """

    epochs: int
    learning_rates: tuple[float, ...] = ()

    def apply(self, spec: StudySpec) -> StudySpec:
        """Return the study as it is trained: the last epoch counts, and the monitor is that of the training rows."""
        monitor = str(spec.monitor).removeprefix(_VALIDATION)
        return dataclasses.replace(spec, epochs=self.epochs, monitor=monitor, epoch_policy="last")

    def callbacks(self, given: Sequence[keras.callbacks.Callback]) -> list[keras.callbacks.Callback]:
        """Return the callbacks without those that look at validation rows, whose learning rates are replayed."""
        kept = [c for c in given if not str(getattr(c, "monitor", "")).startswith(_VALIDATION)]
        if len(kept) == len(given) or not self.learning_rates:
            return kept
        import keras  # by now it is: the callbacks are Keras's

        rates = self.learning_rates
        return [*kept, keras.callbacks.LearningRateScheduler(lambda epoch: rates[min(epoch, len(rates) - 1)])]
