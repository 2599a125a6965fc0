"""The stopping rule of a study: end the search when the best value has not improved for some trials."""

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
        patience: The study ends after this many finished trials in a row without a better one.
        min_delta: A value counts as better only if it beats the best so far by more than this.
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
                "It is a number of at least 0: the improvement that a new best value has to exceed.",
                "Write, for example, stop=stop_when_flat(patience=20, min_delta=0.001).",
            )

    def reason(self, since: int) -> str:
        """Return the sentence that tells why the study ends; `since` is the number of its best trial."""
        more = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return f"the search is flat: {self.patience} later trials were not better{more} than trial {since}"

    def flat_since(self, values: Sequence[float | None], direction: str) -> int | None:
        """Return the position of the best trial if the study should end; None if it should go on.

        Args:
            values: The values of the first trials, ordered by trial number; None for a trial without a value, such as a
                pruned one. The order by number, not by end time, makes the rule independent of the number of slots.
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
    """Declare that a study ends when its best value has not improved for some trials.

    The rule counts finished (complete or pruned) trials after the first complete one, ordered by number, so that it
    decides the same with one slot and with many. Trials that run when the rule fires still finish.

    Args:
        patience: The number of trials in a row without a better one, at least 1.
        min_delta: A value counts as better only if it beats the best so far by more than this, at least 0.

    Raises:
        StudyFileError: If an argument is out of range.

    Example:
        >>> stop_when_flat(patience=2).flat_since([0.5, 0.7, 0.6, None], "maximize")
        1
    """
    return StopWhenFlat(patience, min_delta)
