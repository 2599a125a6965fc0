"""Counts of a run's events: running trials, finished trials, best trial, remaining time."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autotune.running.tracking import Event, FoldFinished, RunStarted, StepReported, TrialEnded, TrialStarted

_ONE_LOOK_S = 0.01  # `status --watch` passes on all reports of one look within this time


@dataclass(frozen=True)
class RunningTrial:
    """A trial that runs in a slot.

    Attributes:
        slot: The number of the slot.
        number: The trial's number.
        began: Its start, by the clock of the tally, in seconds.
        step: The last step (epoch) that it has reported; 0 before the first.
        value: The last reported value; None before the first.
        best: The best reported value; None before the first that is a number.
        finished_folds: Number of its finished folds; 0 if there is only one fold.
        first: The time and the step of the first report that was seen; None before that.
        step_s: Seconds per step; None before there are two. It stays the same once a fold is finished, because then
            there is one report for each fold.
    """

    slot: int
    number: int
    began: float
    step: int
    value: float | None
    best: float | None
    finished_folds: int
    first: tuple[float, int] | None = None
    step_s: float | None = None

    def after(self, report: StepReported, best: float | None, now: float) -> RunningTrial:
        """Return the trial after one more report."""
        first, step_s = self.first, self.step_s
        if not self.finished_folds:
            if first is None or now - first[0] < _ONE_LOOK_S:
                first = (first[0] if first else now, report.step)
            elif report.step > first[1]:
                step_s = (now - first[0]) / (report.step - first[1])
        return dataclasses.replace(self, step=report.step, value=report.value, best=best, first=first, step_s=step_s)


@dataclass(frozen=True)
class TimeLeft:
    """The remaining time of a run.

    Attributes:
        seconds: The remaining time in seconds.
        is_limit: Whether this is an upper limit, because trials may be pruned or stop early.
    """

    seconds: float
    is_limit: bool


class Tally:
    """The state of a run, updated with every event. Hold `lock` to use it in several threads.

    Args:
        clock: A monotonic clock, in seconds.

    Attributes:
        run: The event of the run's start; None before it.
        finished: Number of finished (complete or pruned) trials of the study.
        pruned: Number of pruned trials.
        failures: Number of failed trials, by reason.
        waiting: The numbers of waiting trials.
        best: The number and the value of the best complete trial; None if there is none.
        running: The running trials, by their slots.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.run: RunStarted | None = None
        self.running: dict[int, RunningTrial] = {}
        self._started = clock()
        self._begin(None)

    def _begin(self, run: RunStarted | None) -> None:
        self.run = run
        self.finished = run.finished if run else 0
        self.pruned = run.pruned if run else 0
        self.failures: Counter[str] = Counter(run.failed if run else {})
        self.waiting: set[int] = set(run.waiting if run else ())
        self.best = run.best if run else None
        self.running.clear()
        is_known = run is not None and run.mean_trial_s is not None
        self._timed = self.finished if is_known else 0  # number of finished trials with a known duration
        self._busy_s = self._timed * (run.mean_trial_s or 0.0) if run else 0.0
        self._ended_here = 0
        self._started = self.clock()

    def elapsed_s(self) -> float:
        """Return the seconds since the start of the run; before it, since this tally was made."""
        return self.clock() - self._started

    def note(self, event: Event) -> None:
        """Update the state with an event."""
        if isinstance(event, RunStarted):
            self._begin(event)
        elif isinstance(event, TrialStarted):
            self._note_start(event)
        elif isinstance(event, StepReported):
            trial = self.running[event.slot]
            self.running[event.slot] = trial.after(event, self._better(event.value, trial.best), self.clock())
        elif isinstance(event, FoldFinished):
            self.running[event.slot] = dataclasses.replace(
                self.running[event.slot], finished_folds=event.finished_folds
            )
        elif isinstance(event, TrialEnded):
            self._note_end(event)

    def _note_start(self, event: TrialStarted) -> None:
        self.waiting.discard(event.number)
        self.running[event.slot] = RunningTrial(
            slot=event.slot,
            number=event.number,
            began=self.clock() - event.since_s,
            step=max(event.reports, default=0),
            value=event.reports[max(event.reports)] if event.reports else None,
            best=self._best_of(event.reports),
            finished_folds=event.finished_folds,
        )

    def _note_end(self, event: TrialEnded) -> None:
        self.running.pop(event.slot, None)
        self.waiting.discard(event.number)
        self._busy_s += event.seconds
        if event.state == "interrupted":
            self.waiting.add(event.number)
        elif event.state == "failed":
            self.failures[event.reason] += 1
        else:
            self.pruned += event.state == "pruned"
            self._timed += 1
            self._ended_here += 1
            self.finished = max(self.finished, self.finished + 1 if event.finished is None else event.finished)
        best = self.best[1] if self.best else None
        if event.value is not None and self._better(event.value, best) != best:
            self.best = (event.number, event.value)

    def _best_of(self, reports: Mapping[int, float]) -> float | None:
        best = None
        for value in reports.values():
            best = self._better(value, best)
        return best

    def _better(self, value: float, best: float | None) -> float | None:
        """Return the better of two values; NaN is ignored."""
        if value != value:
            return best
        if best is None:
            return value
        return max(value, best) if self.run and self.run.direction == "maximize" else min(value, best)

    def time_left(self) -> TimeLeft | None:
        """Return the remaining time, estimated from the speed so far; None if it cannot be estimated.

        The estimate uses the mean time of a slot for each finished trial, including failed and interrupted trials in
        between. Before the first trial has ended, it uses the epochs of running trials.
        """
        if self.run is None or self.finished >= self.run.n_trials:
            return None
        whole = self._whole_trials_s()
        mean_s = self._busy_s / self._timed if self._timed else sum(whole) / len(whole) if whole else None
        if mean_s is None:
            return None
        left = self.run.n_trials - self.finished
        done_s = sum(min(self.clock() - trial.began, mean_s) for trial in self.running.values())
        # Other parents may run trials of this study too.
        here = self._ended_here / max(self._ended_here, self.finished - self.run.finished) if self._ended_here else 1.0
        slots = min(left, max(1, self.run.slots, len(self.running)))
        return TimeLeft(max(0.0, left * mean_s - done_s) / slots * here, is_limit=not self._timed)

    def _whole_trials_s(self) -> list[float]:
        """Return the whole duration of each running trial without pruning, if its epochs and their speed are known."""
        run = self.run
        assert run is not None
        if run.epochs is None:
            return []
        known = [(trial, trial.first, trial.step_s) for trial in self.running.values()]
        fold_s = [  # the first epoch takes longer, because it includes building the network
            first[0] - trial.began + step_s * (run.epochs - 1) for trial, first, step_s in known if first and step_s
        ]
        return [seconds * (run.folds or 1) for seconds in fold_s]
