"""What has happened in a run so far, by its events: who runs what, how fast, what is best, how long it will take."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autotune.running.tracking import Event, FoldFinished, RunStarted, StepReported, TrialEnded, TrialStarted

_ONE_LOOK_S = 0.01  # who watches a study from outside tells all reports of a look in one breath


@dataclass(frozen=True)
class RunningTrial:
    """A trial that a slot is busy with.

    Attributes:
        slot: The slot.
        number: The trial's number.
        began: When it began, by the clock of the tally, in seconds.
        step: The last step (epoch) that it has reported; 0 before the first.
        value: What it has reported there; None before the first.
        best: The best that it has reported; None before the first that is a number.
        finished_folds: How many of its folds are finished; 0 where there is only one.
        first: When it was first seen to report, and which step that was; None before that.
        step_s: Seconds from one step to the next; None before there are two. Once a fold is finished, as before that:
            from then on there is one report for each fold.
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
    """How long a run still takes.

    Attributes:
        seconds: So many seconds.
        is_limit: Whether that is the most it can be: trials may be pruned or stop early.
    """

    seconds: float
    is_limit: bool


class Tally:
    """What has happened in a run so far; it is told every event. Hold `lock` to use it in several threads.

    Args:
        clock: Seconds, of a clock that never goes back.

    Attributes:
        run: The run; None before it has begun.
        finished: How many trials of the study are finished, complete or pruned.
        pruned: How many of these were pruned.
        failures: How many have failed, by reason.
        waiting: The numbers of trials that wait.
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
        self._timed = self.finished if is_known else 0  # finished trials of which it is known how long they took
        self._busy_s = self._timed * (run.mean_trial_s or 0.0) if run else 0.0
        self._ended_here = 0
        self._started = self.clock()

    def elapsed_s(self) -> float:
        """Return for how many seconds this run has been going on, or before it has begun, this tally."""
        return self.clock() - self._started

    def note(self, event: Event) -> None:
        """Take an event into account."""
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
        """Return the better of two values; one that is not a number is none."""
        if value != value:
            return best
        if best is None:
            return value
        return max(value, best) if self.run and self.run.direction == "maximize" else min(value, best)

    def time_left(self) -> TimeLeft | None:
        """Return how long the run takes from now on, from the speed of its trials so far; None if nothing tells.

        From the mean time that a slot was busy for each finished trial, with what failed and was interrupted in
        between; before the first has ended, from the epochs of those that run.
        """
        if self.run is None or self.finished >= self.run.n_trials:
            return None
        whole = self._whole_trials_s()
        mean_s = self._busy_s / self._timed if self._timed else sum(whole) / len(whole) if whole else None
        if mean_s is None:
            return None
        left = self.run.n_trials - self.finished
        done_s = sum(min(self.clock() - trial.began, mean_s) for trial in self.running.values())
        # Others may run trials of this study, too.
        here = self._ended_here / max(self._ended_here, self.finished - self.run.finished) if self._ended_here else 1.0
        slots = min(left, max(1, self.run.slots, len(self.running)))
        return TimeLeft(max(0.0, left * mean_s - done_s) / slots * here, is_limit=not self._timed)

    def _whole_trials_s(self) -> list[float]:
        """Return how long each running trial takes if it is not stopped, where its epochs and their speed are known."""
        run = self.run
        assert run is not None
        if run.epochs is None:
            return []
        known = [(trial, trial.first, trial.step_s) for trial in self.running.values()]
        fold_s = [  # to build the network and train its first epoch takes longer
            first[0] - trial.began + step_s * (run.epochs - 1) for trial, first, step_s in known if first and step_s
        ]
        return [seconds * (run.folds or 1) for seconds in fold_s]
