"""A search on a simulated clock: workers that train asynchronously, and how good the search is as epochs are spent.

Every method, whoever wrote it, sits behind the same three calls. Where the best epoch of a training counts, what is
reported is the best so far. An epoch is spent when its result is reported; the
search ends after exactly the budget. Where it takes some epochs' time to begin a job (a process, a network to be
traced), these are spent with the job's first epoch, and no job is begun without budget left. A worker whose trial has
ended asks for the next one at once, at its own time.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from lcbench import EPOCHS, Config, Task

T = TypeVar("T")


class NotHereError(Exception):
    """A method needs what is not installed or not built; the text says what."""


@dataclass(frozen=True)
class Job:
    """What a worker is to train.

    Attributes:
        trial: The method's own name of it.
        config: The hyperparameters.
        trained: So many epochs have been trained by an earlier job, from whose weights this one goes on.
        epochs: The training ends after this epoch, if it is not stopped before.
    """

    trial: Any
    config: Config
    trained: int = 0
    epochs: int = EPOCHS


class Method(Protocol):
    """A search method."""

    def ask(self, worker: int) -> Job | None:
        """Return what the worker is to train, or None if it has to wait for another worker's trial."""

    def report(self, job: Job, epoch: int, accuracy: float) -> bool:
        """Take the validation accuracy (percent) after an epoch, and say whether the job goes on.

        It is NaN if the training has diverged. The job is over then, whatever the answer is.
        """

    def choose(self) -> Config | None:
        """Return the configuration to hand over now; None for that of the trial whose last report is the best."""


@dataclass(frozen=True)
class Setting:
    """How a search is run.

    Attributes:
        budget: Epochs to spend, all workers together.
        checkpoints: After how many epochs to look how good it is.
        workers: How many train at the same time.
        noise: Standard deviation of the noise on the curves, in points of accuracy.
        seed: Of the noise; that of the method is derived from it.
        start_epochs: How many epochs of the configuration it takes as long as to begin a job with it.
        earlier: From how many earlier searches on other tasks a method learns that can.
        worst: Whether the worst trials of these count as their best.
        guess: What the author guesses, "good", "bad" or "usual"; "" for nothing.
    """

    budget: int
    checkpoints: tuple[int, ...]
    workers: int = 1
    noise: float = 0.0
    seed: int = 0
    start_epochs: int = 0
    earlier: int = 0
    worst: bool = False
    guess: str = ""


@dataclass(frozen=True)
class Standing:
    """How good a search is at a checkpoint.

    Attributes:
        epochs: The epochs spent, or about to be spent with the next report.
        chosen: Normalised regret of the final, noise-free accuracy of the configuration that would be handed over.
        seen: The same of the noise-free accuracy at the epoch, of whatever trial, whose report was the best.
        clock_s: Simulated seconds since the start.
        trials: Trials begun.
        method_s: Seconds of processor time that the method itself has taken.
    """

    epochs: int
    chosen: float
    seen: float
    clock_s: float
    trials: int
    method_s: float


def simulate(method: Method, task: Task, setting: Setting) -> list[Standing]:
    """Run a search and return how good it was at each checkpoint within the budget.

    Raises:
        RuntimeError: If the method gives all workers nothing to do before the budget is spent.
    """
    return _Search(method, task, setting).run()


@dataclass
class _Running:
    worker: int
    job: Job
    epoch: int  # being trained
    spends: int  # epochs, when it ends


class _Search:
    def __init__(self, method: Method, task: Task, setting: Setting) -> None:
        self._method, self._task, self._setting = method, task, setting
        self._running: list[tuple[float, int, _Running]] = []  # by the time when the epoch ends, then by its number
        self._idle = list(range(setting.workers))
        self._n_begun = self._n_spent = self._n_trials = 0
        self._clock_s = self._method_s = 0.0
        self._best = (-math.inf, math.nan)  # the best report, and what it is without noise
        self._last: dict[Any, tuple[float, Config]] = {}  # each trial's last report

    def run(self) -> list[Standing]:
        standings = []
        while self._n_spent < self._setting.budget:
            self._employ()
            if not self._running:
                raise RuntimeError(f"the method gave nothing to do after {self._n_spent} epochs")
            first = self._n_spent + 1
            spent = self._n_spent + self._running[0][2].spends
            standings += [self._standing(at) for at in self._setting.checkpoints if first <= at < spent]
            self._end_epoch()
            if spent in self._setting.checkpoints:
                standings.append(self._standing(spent))
        return standings

    def _employ(self) -> None:
        """Give idle workers what the method has for them, as long as there is budget to begin an epoch."""
        waiting = []
        for worker in self._idle:
            if self._n_begun >= self._setting.budget:
                break
            job = self._timed(self._method.ask, worker)
            if job is None:
                waiting.append(worker)
            else:
                self._n_trials += 1
                self._begin_epoch(_Running(worker, job, job.trained + 1, 1 + self._setting.start_epochs))
        self._idle = waiting

    def _begin_epoch(self, running: _Running) -> None:
        if self._n_begun >= self._setting.budget:
            return
        self._n_begun += running.spends
        end_s = self._clock_s + running.spends * self._task.training(running.job.config).epoch_s
        heapq.heappush(self._running, (end_s, self._n_begun, running))

    def _end_epoch(self) -> None:
        self._clock_s, _, running = heapq.heappop(self._running)
        self._n_spent += running.spends
        job, epoch = running.job, running.epoch
        observed = self._observe(job, epoch)
        goes_on = self._timed(self._method.report, job, epoch, observed)
        if goes_on and epoch < job.epochs and not math.isnan(observed):
            self._begin_epoch(_Running(running.worker, job, epoch + 1, 1))
        else:
            self._idle.append(running.worker)

    def _observe(self, job: Job, epoch: int) -> float:
        true = float(self._task.training(job.config).accuracy[epoch - 1])
        noise = self._task.noise(job.config, self._setting.noise, self._setting.seed)
        observed = true + float(noise[epoch - 1])
        if math.isnan(observed):
            self._last.pop(job.trial, None)  # what has diverged is not handed over
            return observed
        self._best = max(self._best, (observed, true))
        if self._task.epoch_policy == "best":
            observed = max(observed, self._last.get(job.trial, (observed, job.config))[0])
        self._last[job.trial] = (observed, job.config)
        return observed

    def _standing(self, epochs: int) -> Standing:
        config = self._timed(self._method.choose)
        if config is None and self._last:
            _, config = max(self._last.values(), key=lambda last: last[0])
        chosen, (_, seen) = math.nan if config is None else self._task.final(config), self._best
        regret = self._task.regret
        return Standing(epochs, regret(chosen), regret(seen), self._clock_s, self._n_trials, self._method_s)

    def _timed(self, call: Callable[..., T], *arguments: Any) -> T:
        began = time.process_time()
        try:
            return call(*arguments)
        finally:
            self._method_s += time.process_time() - began
