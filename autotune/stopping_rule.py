"""When a search has found what it is going to find."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass

from autotune.errors import StudyFileError


@dataclass(frozen=True)
class StopWhenFlat:
    """The rule that `stop_when_flat` declares.

    Attributes:
        patience: After how many finished trials without a better one the study ends.
        min_delta: By how much more than this the best value has to become better to count as better.
    """

    patience: int
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.patience, numbers.Integral) or isinstance(self.patience, bool) or self.patience < 1:
            raise StudyFileError(
                f"patience is {self.patience!r}.",
                "It is a number of trials, at least 1.",
                "Write, for example, stop=stop_when_flat(patience=20).",
            )
        if not isinstance(self.min_delta, numbers.Real) or not 0 <= self.min_delta < math.inf:
            raise StudyFileError(
                f"min_delta is {self.min_delta!r}.",
                "It is how much better a value has to be than the best before, at least 0.",
                "Write, for example, stop=stop_when_flat(patience=20, min_delta=0.001).",
            )

    def reason(self, since: int) -> str:
        """Say why the study ends, given the number of its best trial."""
        more = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return f"the search is flat: {self.patience} later trials were not better{more} than trial {since}"

    def flat_since(self, values: Sequence[float | None], direction: str) -> int | None:
        """Return the position of the trial that nothing after it was better than; None if the study may go on.

        Args:
            values: Those of the first trials, by their numbers; None for one without, such as a pruned one. In this
                order, and not in that of their ends, the rule says the same however many workers there are.
            direction: "maximize" or "minimize".
        """
        sign = 1 if direction == "maximize" else -1
        best, since = -math.inf, -1
        for position, value in enumerate(values):
            if value is not None and sign * value > best + self.min_delta:
                best, since = sign * value, position
            if since >= 0 and position - since >= self.patience:
                return since
        return None


def stop_when_flat(patience: int, min_delta: float = 0.0) -> StopWhenFlat:
    """Declare that a study ends when its best value has not become better for some time.

    Counted are finished (complete or pruned) trials after the first complete one, by their numbers, so that the rule
    decides the same with one worker and with many. Trials that run at that moment are finished.

    Args:
        patience: After how many trials without a better one, at least 1.
        min_delta: By more than how much a value has to be better, at least 0.

    Raises:
        StudyFileError: If an argument is out of range.

    Example:
        >>> stop_when_flat(patience=2).flat_since([0.5, 0.7, 0.6, None], "maximize")
        1
    """
    return StopWhenFlat(patience, min_delta)
