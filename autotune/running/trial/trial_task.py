"""The task of a trial process: load the study, run the trial, send how it ended."""

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
    KeepingError,
    ParentGoneError,
    SearchSpaceError,
    StudyFileError,
    TrainingError,
)
from autotune.failures import code_around, last_line, summary_of
from autotune.running.processes import Slot, is_out_of_memory, output_to
from autotune.running.study import StudySource, digest_of_code
from autotune.running.trial.kept_result import KeptResult
from autotune.running.trial.piped_trial import KeepingPlace, PipedTrial
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
            process was killed. An unusable or lost trial waits.
        value: The trial's value, finite, if it is complete.
        costs: The costs of its network, in the order of the study's `minimize`.
        reason: Why it failed: "nan", "oom", "timeout" or "error". If it was lost: "server" if it died together with its
            fork server, or a text.
        message: The message about a failure, with a traceback if there is one.
        summary: The same in one line.
        code: The lines of the study file in which its error was raised; "" if there is none.
        error: The error that ends the run if the study is unusable: the user's mistake, or a full disk.
        server: The number of the fork server that has died, if that is the reason.
        phases: The seconds that the process has spent in each phase, as far as it has reported them.
    """

    kind: Literal["complete", "pruned", "failed", "unusable", "lost"]
    value: float | None = None
    costs: tuple[float, ...] = ()
    reason: str = ""
    message: str = ""
    summary: str = ""
    code: str = ""
    error: AutotuneError | None = None
    server: int = 0
    phases: Mapping[Phase, float] = field(default_factory=dict)

    @property
    def why(self) -> str:
        """Why the trial failed, in one line."""
        return self.summary or last_line(self.message)


@dataclass(frozen=True)
class Assignment:
    """The rows that one trial trains on, and the names from which its seeds are derived.

    Attributes:
        rows: The stored rows and folds; None for a plain objective.
        place: The names that `derive_seed` gets for this trial, e.g. `("trial", 12)`.
        refit: How long to train if there are no validation rows; None if there are some.
    """

    rows: Rows | None
    place: tuple[int | str, ...]
    refit: Refit | None = None


@dataclass(frozen=True)
class RunTrial:
    """Task: run one trial and send its `Outcome`.

    Attributes:
        source: The study.
        assignment: The rows that the trial trains on, and the names for its seeds.
        folder: The folder with the trial's files.
        slot: The part of the machine that it may use; its environment is set before any device is used.
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
                spec = load_in_slot(self.source, self.slot)
        except StudyFileError as error:
            return Outcome("unusable", message=str(error), error=disk_full(error, self.folder.path) or error)
        try:
            value, *costs = self._values(spec, PipedTrial(connection, timer, self._keeping(spec)), timer)
        except optuna.TrialPruned:
            return Outcome("pruned")
        except (TrainingError, SearchSpaceError, DamagedStoreError, KeepingError) as error:
            return Outcome("unusable", message=str(error), error=error)
        except DivergedError as error:
            return Outcome("failed", reason="nan", message=str(error), summary=error.happened)
        except ParentGoneError:
            raise  # no process is left to receive an outcome
        except BaseException as error:  # any error of the study file, and sys.exit(), ends its own trial only
            message = traceback.format_exc()
            if full := disk_full(error, self.folder.path):
                return Outcome("unusable", message=message, error=full)
            reason = "oom" if is_out_of_memory(error) else "error"
            summary = summary_of(error, self.source.path)
            return Outcome("failed", reason=reason, message=message, summary=summary, code=code_around(error))
        if math.isfinite(value):
            return Outcome("complete", value, tuple(costs))
        return Outcome("failed", reason="nan", message=f"The objective returned {value}.")

    def _keeping(self, spec: StudySpec) -> KeepingPlace | None:
        """Return where a plain objective may keep what it has reached; Keras studies write their own checkpoints."""
        if spec.objective is None:
            return None
        code = digest_of_code(self.source, spec)
        facts = (spec.name, code, repr(self.source.overrides), spec.seed, *self.assignment.place)
        return KeepingPlace(self.folder, facts)

    def _values(self, spec: StudySpec, trial: PipedTrial, timer: Timer) -> list[float]:
        seed = derive_seed(spec.seed, *self.assignment.place, "process")
        random.seed(seed)
        np.random.seed(seed)
        if "tensorflow" in sys.modules:
            import keras

            keras.utils.set_random_seed(seed)
        if spec.objective is not None:
            return [self._call(spec, spec.objective, trial)]
        return self._train(spec, trial, timer)

    def _call(self, spec: StudySpec, objective: Callable[[optuna.Trial], float], trial: PipedTrial) -> float:
        kept = KeptResult(self.folder.result, self.source, spec.seed, trial)
        if (value := kept.read()) is not None:
            print("An earlier process has finished this trial, but its value was not stored: the kept value is used.")
            return value
        looks_like_optunas: Any = trial
        value = _as_number(objective(looks_like_optunas))
        kept.write(value)
        return value

    def _train(self, spec: StudySpec, piped: PipedTrial, timer: Timer) -> list[float]:
        rows = self.assignment.rows
        assert rows is not None
        with timer.spending("data"):
            split = open_rows(rows, spec)
        from autotune.training.trials import train_trial  # only Keras studies need TensorFlow

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
    """Task: write the history and figures of a trial whose process was killed, from its checkpoint; send None.

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


def load_in_slot(source: StudySource, slot: Slot) -> StudySpec:
    """Load a study in a process that trains or measures its networks.

    Code at the top level of the study file may use TensorFlow, which takes no settings afterwards. Such code gets the
    same random numbers in all processes: it may make a layer.

    Raises:
        StudyFileError: If the study cannot be loaded.
    """
    random.seed(0)
    np.random.seed(0)
    was_there = "tensorflow" in sys.modules
    if was_there:
        _configure(slot)
    spec = source.load()
    if not was_there and (spec.objective is None or "tensorflow" in sys.modules):
        _configure(slot)
    return spec


def _configure(slot: Slot) -> None:
    from autotune.training.fitting import configure_tensorflow

    if not configure_tensorflow(slot.threads, slot.memory_limit_mib, slot.devices) and slot.gpu is not None:
        print("TensorFlow cannot use this GPU and uses the CPU. For its CUDA libraries, install tensorflow[and-cuda].")


def _as_number(returned: Any) -> float:
    """Return the value of an objective as a float: Optuna accepts a number, or a sequence of one number."""
    is_one = isinstance(returned, Sequence) and not isinstance(returned, (str, bytes)) and len(returned) == 1
    value = returned[0] if is_one else returned
    with contextlib.suppress(TypeError):
        if not isinstance(value, (str, bytes)):  # Optuna accepts text as a number in reports only
            return as_float(value)
    raise TypeError(f"the objective returned {returned!r}; it must return a number.")
