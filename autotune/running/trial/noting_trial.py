"""A trial that takes note of the usual values of hyperparameters, which `autotune.spaces` knows."""

from __future__ import annotations

from typing import Any

from autotune.running.trial.answering import Replay
from autotune.running.trial.piped_trial import PipedTrial


class NotingTrial(PipedTrial):
    """A trial before the first one, which only `autotune.spaces` tells more than other trials.

    Args:
        replay: Answers its requests.
        usual: Receives the usual values, by name.
    """

    def __init__(self, replay: Replay, usual: dict[str, Any]) -> None:
        super().__init__(replay)
        self._usual = usual

    def note_usual(self, name: str, value: Any) -> None:
        """Note the usual value of a hyperparameter, in its range or not: it is moved when it is suggested."""
        self._usual[name] = value

    def beside(self) -> NotingTrial:
        """Return a trial for a branch of the search space that this one does not take."""
        return NotingTrial(Replay({}, self.number), self._usual)
