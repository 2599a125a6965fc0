"""The events of a run, and the observers that receive them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Union

from autotune.training.records import Phase

EndState = Literal["complete", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class RunStarted:
    """A run starts, or this process starts to watch one. The event describes the study at this moment.

    Attributes:
        name: The study's name.
        n_trials: The number of finished (complete or pruned) trials that the study should have.
        finished: The number of finished trials so far.
        slots: The number of slots.
        epochs: Epochs of each fold; None for a plain objective.
        direction: "maximize" or "minimize".
        monitor: The monitored metric; None for a plain objective.
        folds: The number of folds of each trial; None if it is unknown.
        pruned: The number of pruned trials.
        failed: The number of failed trials, by reason.
        waiting: The numbers of trials that wait, interrupted or queued.
        best: The number and the value of the best complete trial; None if there is none.
        is_elsewhere: Whether other processes run it, and this process only watches.
        mean_trial_s: The mean duration of finished trials in seconds, as an estimate for later ones; None if unknown.
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
    """A slot starts a trial, or resumes one that has reported before.

    Attributes:
        slot: The slot's number.
        number: The trial's number.
        reports: Its reports so far, by step.
        finished_folds: The number of its finished folds; 0 if it has only one fold.
        since_s: The seconds since its start.
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
    """A trial with several folds has finished one more; `finished_folds` is their number now."""

    slot: int
    number: int
    finished_folds: int


@dataclass(frozen=True)
class Note:
    """A note for the user about trial `number`, or about the whole study if that is None."""

    number: int | None
    text: str


@dataclass(frozen=True)
class TrialEnded:
    """A trial has ended, or waits again ("interrupted").

    Attributes:
        slot: The number of its slot.
        number: Its number.
        state: How it ended.
        value: Its value if it is complete.
        reason: Why it failed or waits, or which trial it is a copy of.
        params: Its hyperparameters.
        steps: The number of its reports.
        seconds: The seconds that this slot spent on it.
        finished: The number of finished trials of the study now, of all parents; None if it is unknown.
        why: Why it failed, in one line.
        phases: The seconds of each phase, which add up to `seconds`; empty if the process did not report them.
        finished_folds: The number of its finished folds; 0 if it has only one fold.
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
    """Receive an event and do nothing."""
