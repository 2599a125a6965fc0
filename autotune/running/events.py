"""What happens in a run, told to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Union

EndState = Literal["complete", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class RunStarted:
    """A run begins: `finished` of `n_trials` are done, `slots` trials run at a time, of `epochs` epochs each."""

    name: str
    n_trials: int
    finished: int
    slots: int
    epochs: int | None
    direction: str


@dataclass(frozen=True)
class TrialStarted:
    """A slot starts a trial, or goes on with one that has reported before."""

    slot: int
    number: int
    reported_steps: int


@dataclass(frozen=True)
class StepReported:
    """A trial has reported a value after a step (an epoch)."""

    slot: int
    number: int
    step: int
    value: float


@dataclass(frozen=True)
class Note:
    """What a person should know of trial `number`, or of the whole study if that is None."""

    number: int | None
    text: str


@dataclass(frozen=True)
class TrialEnded:
    """A trial is over, or waits again ("interrupted").

    Attributes:
        slot: The slot it ran in.
        number: Its number.
        state: How it ended.
        value: Its value if it is complete.
        reason: Why it failed or waits, or what it is a copy of.
        params: Its hyperparameters.
        steps: How often it has reported.
        seconds: How long this slot was busy with it.
        finished: How many trials of the study are finished now, by all parents; None if nobody has counted.
    """

    slot: int
    number: int
    state: EndState
    value: float | None
    reason: str
    params: dict[str, Any]
    steps: int
    seconds: float
    finished: int | None = None


Event = Union[RunStarted, TrialStarted, StepReported, Note, TrialEnded]  # noqa: UP007 -- reason: used at run time on 3.10
Observer = Callable[[Event], None]
