"""A clock, and the events of a short run."""

from __future__ import annotations

import pytest

from autotune.running.tracking.events import Event, Note, RunStarted, StepReported, TrialEnded, TrialStarted


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events() -> list[Event]:
    """A run of two slots: a trial that ended well, one that failed, two that run."""
    return [
        RunStarted("digits-cnn", 10, 2, slots=2, epochs=20, direction="maximize", monitor="val_accuracy"),
        TrialStarted(slot=0, number=2),
        TrialStarted(slot=1, number=3, reports={1: 0.1, 2: 0.3, 3: 0.2, 4: 0.25}),
        StepReported(slot=0, number=2, step=1, value=0.5),
        Note(number=3, text="its checkpoint is damaged; it starts over"),
        TrialEnded(0, 2, "complete", 0.75, "", {"learning_rate": 0.001234567}, steps=20, seconds=9.0),
        TrialStarted(slot=0, number=4),
        TrialEnded(1, 3, "failed", None, "nan", {"learning_rate": 9.9}, steps=5, seconds=2.0),
        TrialStarted(slot=1, number=5),
        StepReported(slot=1, number=5, step=6, value=0.75),
        StepReported(slot=1, number=5, step=7, value=0.625),
    ]
