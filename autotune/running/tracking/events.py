"""What happens in a run, told to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Union

from autotune.training.records import Phase

EndState = Literal["complete", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class RunStarted:
    """A run begins, or somebody begins to watch one; with what the study has by then.

    Attributes:
        name: The study's name.
        n_trials: How many trials are to be finished, complete or pruned, in the end.
        finished: How many are.
        slots: How many trials run at a time.
        epochs: Epochs of each fold; None for a plain objective.
        direction: "maximize" or "minimize".
        monitor: The monitored metric; None for a plain objective.
        folds: Folds of each trial; None if that is not known.
        pruned: How many of the finished trials were pruned.
        failed: How many trials have failed, by reason.
        waiting: The numbers of trials that wait: interrupted, or queued.
        best: The number and the value of the best complete trial; None if there is none.
        is_elsewhere: Whether others run it, and this process only watches.
        mean_trial_s: Mean seconds that the finished trials took, where that holds for those to come; None if unknown.
    """

    name: str
    n_trials: int
    finished: int
    slots: int
    epochs: int | None
    direction: str
    monitor: str | None = None
    folds: int | None = None
    pruned: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    waiting: tuple[int, ...] = ()
    best: tuple[int, float] | None = None
    is_elsewhere: bool = False
    mean_trial_s: float | None = None


@dataclass(frozen=True)
class TrialStarted:
    """A slot starts a trial, or goes on with one that has reported before.

    Attributes:
        slot: The slot.
        number: The trial's number.
        reports: What it has reported before, by step.
        finished_folds: How many of its folds are finished; 0 where there is only one.
        since_s: For how many seconds it has been running by then.
    """

    slot: int
    number: int
    reports: Mapping[int, float] = field(default_factory=dict)
    finished_folds: int = 0
    since_s: float = 0.0


@dataclass(frozen=True)
class StepReported:
    """A trial has reported a value after a step (an epoch)."""

    slot: int
    number: int
    step: int
    value: float


@dataclass(frozen=True)
class FoldFinished:
    """A trial with several folds has finished another one: by now `finished_folds`."""

    slot: int
    number: int
    finished_folds: int


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
        why: Why it failed, in a line.
        phases: What the slot has spent its seconds with, if its process has told: they add up to `seconds`.
        finished_folds: How many folds it has finished; 0 if it has only one.
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
    why: str = ""
    phases: Mapping[Phase, float] = field(default_factory=dict)
    finished_folds: int = 0


Event = Union[RunStarted, TrialStarted, StepReported, FoldFinished, Note, TrialEnded]  # noqa: UP007 -- reason: used at run time on 3.10
Observer = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Be told of an event, and show it nowhere."""
