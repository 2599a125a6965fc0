"""The settings of a refit: training on all development rows, without validation rows, as long as earlier trainings."""

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
    """The settings of a training without validation rows.

    Attributes:
        epochs: Number of epochs, at least 1.
        learning_rates: The learning rate of each epoch; empty to leave it to the optimizer and the callbacks.
        stage_ends: The number of epochs after each stage but the last; empty if there is only one.
    """

    epochs: int
    learning_rates: tuple[float, ...] = ()
    stage_ends: tuple[int, ...] = ()

    def apply(self, spec: StudySpec) -> StudySpec:
        """Return the study for a refit: the last epoch counts, and the metric is monitored on the training rows."""
        monitor = str(spec.monitor).removeprefix(_VALIDATION)
        return dataclasses.replace(spec, epochs=self.epochs, monitor=monitor, epoch_policy="last")

    def lengths(self, n_stages: int) -> list[int]:
        """Return the number of epochs of each of the first stages, until all epochs are trained."""
        ends = [min(self.epochs, end) for end in (*self.stage_ends[: n_stages - 1], self.epochs)]
        found = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        return found[: 1 + max(number for number, length in enumerate(found) if length)]

    def callbacks(self, given: Sequence[keras.callbacks.Callback]) -> list[keras.callbacks.Callback]:
        """Return the callbacks without those that monitor validation rows; recorded learning rates replace theirs."""
        kept = [c for c in given if not str(getattr(c, "monitor", "")).startswith(_VALIDATION)]
        if len(kept) == len(given) or not self.learning_rates:
            return kept
        import keras  # already imported, because the callbacks are Keras's

        rates = self.learning_rates
        return [*kept, keras.callbacks.LearningRateScheduler(lambda epoch: rates[min(epoch, len(rates) - 1)])]
