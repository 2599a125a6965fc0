"""What happens in the process of one trial: load the study, run the trial, say how it ended."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import random
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Literal

import numpy as np
import optuna

from autotune.disk import disk_full
from autotune.errors import (
    AutotuneError,
    DamagedStoreError,
    DivergedError,
    ParentGoneError,
    SearchSpaceError,
    StudyFileError,
    TrainingError,
)
from autotune.failures import last_line, summary_of
from autotune.running.processes import Slot, is_out_of_memory, output_to
from autotune.running.study import StudySource
from autotune.running.trial.kept_result import KeptResult
from autotune.running.trial.piped_trial import PipedTrial
from autotune.running.trial.plain_values import as_float
from autotune.running.trial.rows import Rows, open_rows
from autotune.seeds import derive_seed
from autotune.study import StudySpec
from autotune.training.checkpoints import TrialFolder, UnusableCheckpointError, stored_histories
from autotune.training.outputs import leave_history
from autotune.training.records import Phase, Refit, Timer


@dataclass(frozen=True)
class Outcome:
    """How a trial process ended its trial.

    Attributes:
        kind: "complete", "pruned", "failed", "unusable" if no trial of this study can work now, or "lost" if its
            process was killed. One that is unusable or lost waits.
        value: The trial's value, finite, if it is complete.
        costs: What else its network comes to, in the order of the study's `minimize`.
        reason: Why it failed: "nan", "oom", "timeout" or "error"; or "lost" alone or with its "server" and all others.
        message: What to tell about a failure, its traceback if there is one.
        summary: The same in one line.
        error: What ends the run, if the study is unusable: the user's mistake, or a full disk.
        server: The number of the server that has died, if that is the reason.
        phases: The seconds that the process has spent in each phase, as far as it has told.
    """

    kind: Literal["complete", "pruned", "failed", "unusable", "lost"]
    value: float | None = None
    costs: tuple[float, ...] = ()
    reason: str = ""
    message: str = ""
    summary: str = ""
    error: AutotuneError | None = None
    server: int = 0
    phases: Mapping[Phase, float] = field(default_factory=dict)

    @property
    def why(self) -> str:
        """Why it has failed, in one line."""
        return self.summary or last_line(self.message)


@dataclass(frozen=True)
class Assignment:
    """What one trial trains on, and where its chance comes from.

    Attributes:
        rows: Where the data are; None for a plain objective.
        place: What names the trial in the seeds derived for it, e.g. `("trial", 12)`.
        refit: How long to train where there are no validation rows; None where there are some.
    """

    rows: Rows | None
    place: tuple[int | str, ...]
    refit: Refit | None = None


@dataclass(frozen=True)
class RunTrial:
    """Task: run one trial and send its `Outcome`.

    Attributes:
        source: The study.
        assignment: What the trial trains on.
        folder: Where the trial keeps its files.
        slot: What it may use of the machine; its environment is set before any device is touched.
    """

    source: StudySource
    assignment: Assignment
    folder: TrialFolder
    slot: Slot

    def __call__(self, connection: Connection) -> None:
        timer = Timer()
        os.environ.update(self.slot.environment)
        with contextlib.ExitStack() as log:
            outcome = self._begin_log(log) or self._outcome(connection, timer)
            if outcome.message:
                print(outcome.message)
            timer.turn_to("the rest")
            connection.send(dataclasses.replace(outcome, phases=timer.phases))

    def _begin_log(self, log: contextlib.ExitStack) -> Outcome | None:
        try:
            log.enter_context(output_to(self.folder.log))
        except OSError as error:
            if (full := disk_full(error, self.folder.path)) is None:
                raise
            return Outcome("unusable", error=full)
        print(self.slot.description())
        return None

    def _outcome(self, connection: Connection, timer: Timer) -> Outcome:
        try:
            with timer.spending("study file"):
                spec = self.source.load()
        except StudyFileError as error:
            return Outcome("unusable", message=str(error), error=disk_full(error, self.folder.path) or error)
        try:
            value, *costs = self._values(spec, PipedTrial(connection, timer), timer)
        except optuna.TrialPruned:
            return Outcome("pruned")
        except (TrainingError, SearchSpaceError, DamagedStoreError) as error:
            return Outcome("unusable", message=str(error), error=error)
        except DivergedError as error:
            return Outcome("failed", reason="nan", message=str(error), summary=error.happened)
        except ParentGoneError:
            raise  # nobody to tell
        except BaseException as error:  # whatever the study file does, sys.exit() included, ends its own trial only
            message = traceback.format_exc()
            if full := disk_full(error, self.folder.path):
                return Outcome("unusable", message=message, error=full)
            reason = "oom" if is_out_of_memory(error) else "error"
            summary = summary_of(error, self.source.path)
            return Outcome("failed", reason=reason, message=message, summary=summary)
        if math.isfinite(value):
            return Outcome("complete", value, tuple(costs))
        return Outcome("failed", reason="nan", message=f"The objective returned {value}.")

    def _values(self, spec: StudySpec, trial: PipedTrial, timer: Timer) -> list[float]:
        seed = derive_seed(spec.seed, *self.assignment.place, "process")
        random.seed(seed)
        np.random.seed(seed)
        if "tensorflow" in sys.modules:
            _make_tensorflow_repeatable(seed, self.slot)
        if spec.objective is not None:
            return [self._call(spec, spec.objective, trial)]
        return self._train(spec, trial, timer)

    def _call(self, spec: StudySpec, objective: Callable[[optuna.Trial], float], trial: PipedTrial) -> float:
        kept = KeptResult(self.folder.result, self.source, spec.seed, trial)
        if (value := kept.read()) is not None:
            print("It has been run to its end before; its value was not written down yet.")
            return value
        looks_like_optunas: Any = trial
        value = _as_number(objective(looks_like_optunas))
        kept.write(value)
        return value

    def _train(self, spec: StudySpec, piped: PipedTrial, timer: Timer) -> list[float]:
        rows = self.assignment.rows
        assert rows is not None
        with timer.spending("data"):
            split = open_rows(rows)
        from autotune.training.trials import train_trial  # Keras studies alone need TensorFlow

        def tell(text: str) -> None:
            print(text)
            piped.note(text)

        trial: Any = piped
        score = train_trial(
            spec,
            trial,
            split,
            self.folder,
            tell,
            place=self.assignment.place,
            refit=self.assignment.refit,
            has_reported=piped.has_reported(),
            is_among_best=piped.is_among_best,
            timer=timer,
        )
        trial.set_user_attr("n_parameters", score.n_parameters)
        costs = {"parameters": float(score.n_parameters), "latency": score.latency_ms}
        return [score.value, *(costs[name] for name in spec.minimize)]


@dataclass(frozen=True)
class LeaveHistory:
    """Task: leave what is to be seen of a trial whose process was killed, from its checkpoint; send None.

    Attributes:
        folder: The trial's folder.
        monitor: The monitored metric.
    """

    folder: TrialFolder
    monitor: str

    def __call__(self, connection: Connection) -> None:
        with contextlib.suppress(UnusableCheckpointError):
            leave_history(self.folder, stored_histories(self.folder.checkpoint), self.monitor)
        connection.send(None)


def _make_tensorflow_repeatable(seed: int, slot: Slot) -> None:
    import keras

    from autotune.training.fitting import configure_tensorflow

    if not configure_tensorflow(slot.threads, slot.memory_limit_mib) and slot.gpu is not None:
        print("TensorFlow does not see this GPU and uses the CPU. Its CUDA libraries come with tensorflow[and-cuda].")
    keras.utils.set_random_seed(seed)


def _as_number(returned: Any) -> float:
    """Return what an objective has returned as Optuna takes it: a number, or a sequence of one."""
    is_one = isinstance(returned, Sequence) and not isinstance(returned, (str, bytes)) and len(returned) == 1
    value = returned[0] if is_one else returned
    with contextlib.suppress(TypeError):
        if not isinstance(value, (str, bytes)):  # Optuna takes text for a number in reports alone
            return as_float(value)
    raise TypeError(f"the objective returned {returned!r}; it is to return a number.")
