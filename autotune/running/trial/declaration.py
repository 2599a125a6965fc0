"""The settings of a study file in a record that its parent can read without Keras.

The parent never imports Keras: a separate process loads the study file and sends this record.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cloudpickle
import optuna

from autotune.data.sources import has_test_rows
from autotune.disk import disk_full
from autotune.errors import AutotuneError
from autotune.running.study import Budget, StudySource
from autotune.running.trial.given_configurations import BASELINE, configurations
from autotune.search.curves import with_epoch_policy
from autotune.stopping_rule import StopWhenFlat
from autotune.study import Cost, Direction, EpochPolicy, StudySpec


@dataclass(frozen=True)
class Declaration:
    """The settings of a `StudySpec` without the functions that only trial processes call.

    `needs_keras` tells whether trial processes need Keras. The other attributes are those of `StudySpec`.
    """

    name: str
    direction: Direction
    minimize: Sequence[Cost]
    monitor: str | None
    epochs: int
    epoch_policy: EpochPolicy
    n_trials: int
    seed: int
    sampler: Callable[[int], optuna.samplers.BaseSampler] | None
    pruner: optuna.pruners.BasePruner | None
    keep_models: int
    max_failures_in_a_row: int
    count_failed: bool
    max_retries: int
    retry_errors: int
    trial_timeout_s: float | None
    stop: StopWhenFlat | None
    train_fraction: float
    epochs_per_pass: int
    devices_per_trial: int
    baseline: Mapping[str, Any] | None
    enqueue: Sequence[Mapping[str, Any]]
    guesses: Sequence[Mapping[str, Any]]
    guesses_baseline: bool
    guesses_usual: bool
    learn_from: Sequence[str]
    has_test_rows: bool
    needs_keras: bool

    def budget(self, n_trials: int | None) -> Budget:
        """Return the budget for `n_trials` trials; None stands for the stored trials, each of which runs to its end."""
        if n_trials is None:
            return Budget(None, max_retries=self.max_retries, retry_errors=self.retry_errors)
        return Budget(n_trials, self.count_failed, self.max_retries, self.stop, self.retry_errors)


@dataclass(frozen=True)
class Declare:
    """Task: load the study and send back its `Declaration`."""

    source: StudySource

    def __call__(self, connection: Connection) -> None:
        send_result(connection, lambda: _declaration(self.source.load()))


def send_result(connection: Connection, work: Callable[[], object], *folders: Path) -> None:
    """Send the result of `work` to the parent, or the user's mistake that it raises.

    Args:
        connection: The pipe to the parent.
        work: The function to call.
        folders: The folders that it writes to. A full disk there counts as a user's mistake.
    """
    result: tuple[str, object]
    try:
        result = ("value", work())
    except Exception as error:
        full = disk_full(error, *folders)
        if full is None and not isinstance(error, AutotuneError):
            raise
        result = ("error", full or error)
    connection.send_bytes(cloudpickle.dumps(result))  # pickle cannot send classes of a study file


def _declaration(spec: StudySpec) -> Declaration:
    named = {name: getattr(spec, name) for name in Declaration.__dataclass_fields__ if hasattr(spec, name)}
    if spec.objective is None:  # the value of a plain objective may belong to any epoch
        named["pruner"] = with_epoch_policy(spec.pruner, spec.epoch_policy)
        if spec.sampler is not None:
            named["sampler"] = partial(_sampler, spec.sampler, spec.epoch_policy)
    given = {label: dict(params) for label, params in configurations(spec.baseline, spec.enqueue).items()}
    named["baseline"] = given.pop(BASELINE, None)
    named["enqueue"] = tuple(given.values())
    named["guesses"] = tuple(map(dict, configurations(None, (), spec.guess or ()).values()))
    named["guesses_baseline"] = spec.baseline is not None and spec.guess is not None
    named["guesses_usual"] = spec.guess is not None
    named["learn_from"] = (spec.learn_from,) if isinstance(spec.learn_from, str) else tuple(spec.learn_from)
    return Declaration(
        **named,
        has_test_rows=has_test_rows(spec.dataset) if isinstance(spec.dataset, str) else spec.test_dataset is not None,
        needs_keras=spec.objective is None or "tensorflow" in sys.modules,
    )


def _sampler(
    factory: Callable[[int], optuna.samplers.BaseSampler], epoch_policy: EpochPolicy, seed: int
) -> optuna.samplers.BaseSampler:
    return with_epoch_policy(factory(seed), epoch_policy)
