"""Checks of a study file before it runs, and one trial in a debugger; neither stores anything."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autotune.running.engine.execution import preparing
from autotune.running.engine.machine import Machine, check_positive
from autotune.running.planning import RunOptions
from autotune.running.processes import available_cores, share_machine
from autotune.running.study import Places, StudySource, find_places, overridden_source
from autotune.running.trial import Check, Declaration, Declare, Seen, declared_rows, drawn_trial, train_here
from autotune.study import Overrides, StudySpec, refuse_while_loading


@dataclass(frozen=True)
class Checked:
    """What `check` has found out about a study.

    Attributes:
        study: Its name.
        n_trials: How many trials it will have.
        workers: How many trials run at a time.
        has_test_rows: Whether there are test rows; they stay closed.
        seen: What the training of a few batches has shown; None for a plain objective, of which nothing is trained.
        trial_s: Seconds of a trial that is not pruned; None if they could not be measured.
        search_s: Seconds of the whole search: trials, shared among the workers; None like `trial_s`.
        cannot: What `finalize` will not be able to do, a sentence each.
    """

    study: str
    n_trials: int
    workers: int
    has_test_rows: bool
    seen: Seen | None
    trial_s: float | None
    search_s: float | None
    cannot: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the same as a dict of plain values, for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class DebuggedTrial:
    """A trial that ran in this process and was not stored: its value and its hyperparameters."""

    value: float
    params: Mapping[str, Any]


def check(
    study: StudySpec | StudySource | str | Path,
    *,
    n_trials: int | None = None,
    workers: int | None = None,
    epochs: int | None = None,
    folds: int | None = None,
    seed: int | None = None,
    name: str | None = None,
    storage: str | None = None,
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    gpus: str | Sequence[int | str] | None = None,
    workers_per_gpu: int | None = None,
) -> Checked:
    """Look whether a study works: train a few batches, validate one, save, load, and go on. Nothing is stored.

    One configuration is trained: the first that the study file gives (baseline, enqueue or guess), else a random one.
    What only others reach stays unseen. Of a plain objective only the declaration is checked.

    Args:
        study: A study file's path, or a `StudySpec`.
        n_trials: In place of the study's own, for the time that the search will take.
        workers: How many trials at a time; as in `autotune.run`.
        epochs: In place of the study's own.
        folds: k of k-fold cross-validation in place of the study's own folds.
        seed: In place of the study's own.
        name: In place of the study's own.
        storage: As in `autotune.run`; it is not opened.
        run_dir: As in `autotune.run`; nothing is written there.
        data_dir: Where datasets are looked for first; None for `AUTOTUNE_DATA`, else Keras's own cache.
        gpus: Which of the visible GPUs, as in `autotune.run`.
        workers_per_gpu: How many trials share a GPU.

    Raises:
        UsageError: If the study, its data or an argument cannot be used.
        StudyFailedError: If a trial cannot be trained.
        DivergedError: If the loss became NaN or infinite.
        KeyboardInterrupt: If SIGINT, SIGTERM or SIGHUP came.

    Example:
        >>> checked = check("blocks.py")  # doctest: +SKIP
        >>> checked.seen.n_parameters  # doctest: +SKIP
        1130
    """
    refuse_while_loading()
    check_positive({"trials": n_trials})
    source = overridden_source(study, Overrides(name, epochs, folds, seed))
    places, machine = find_places(storage, run_dir, data_dir), Machine(workers, gpus, workers_per_gpu)
    sharing = share_machine(machine.usable_gpus(), workers, workers_per_gpu)
    threads = max(1, available_cores() // sharing.workers)
    with tempfile.TemporaryDirectory(prefix="autotune-check-") as place:
        here = Path(place)
        options = RunOptions(source, Places(storage="", run_dir=here, data_dir=places.data_dir))
        with preparing(options, machine, threads) as preparer:
            declared: Declaration = preparer.ask(Declare(source))
            seen = None
            if declared.monitor is not None:  # a Keras study
                preparer.preload()
                slot = sharing.slots(threads, declared.devices_per_trial)[0]
                seen = preparer.ask(Check(source, places.data_dir, here, slot))
    return _checked(declared, seen, n_trials or declared.n_trials, sharing.workers)


def debug(
    study: str | Path,
    *,
    epochs: int | None = None,
    folds: int | None = None,
    seed: int | None = None,
    data_dir: str | Path | None = None,
) -> DebuggedTrial:
    """Run one trial in this process, where `breakpoint()` and debuggers work; errors are raised as they are.

    Args:
        study: A study file's path.
        epochs: In place of the study's own.
        folds: k of k-fold cross-validation in place of the study's own folds.
        seed: In place of the study's own.
        data_dir: Where datasets are looked for first.

    Raises:
        Exception: Whatever the study file raises.
    """
    source = overridden_source(study, Overrides(None, epochs, folds, seed))
    spec = source.load()
    if spec.objective is not None:
        trial: Any = drawn_trial(spec)
        return DebuggedTrial(float(spec.objective(trial)), trial.params)
    _, data, split = declared_rows(spec, find_places(data_dir=data_dir).data_dir)
    return DebuggedTrial(*train_here(spec, data, split))


def _checked(declared: Declaration, seen: Seen | None, n_trials: int, workers: int) -> Checked:
    trial_s = seen.n_folds * (seen.start_s + seen.epochs * seen.epoch_s) if seen and seen.epoch_s is not None else None
    search_s = None if trial_s is None else trial_s * -(-n_trials // workers)
    return Checked(
        declared.name,
        n_trials,
        workers,
        declared.has_test_rows,
        seen,
        trial_s,
        search_s,
        tuple(_missing(declared, seen)),
    )


def _missing(declared: Declaration, seen: Seen | None) -> list[str]:
    if seen is None:
        return ["A plain objective has no model and no test rows: `finalize` only trains its best trials again."]
    if not declared.has_test_rows:
        return ["There are no test rows: `finalize` confirms and refits the winner, and measures it on no test rows."]
    return []
