"""Run a study: from a study file to an Optuna study with exactly the trials that were asked for."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from autotune.errors import StudyFileError, UsageError
from autotune.running.claims import Claims, recover_lost_trials
from autotune.running.events import Event, Observer, RunStarted
from autotune.running.interruption import on_signals
from autotune.running.ownership import Owner
from autotune.running.places import Places, find_places, make_writable
from autotune.running.preparing import Declaration, Declare, PastTrial, Preparation, Prepare
from autotune.running.processes import Launcher, LauncherClosedError, new_launcher
from autotune.running.settings import StudySettings, read_settings, refuse, refuse_changes, write_settings
from autotune.running.slots import Slot, available_cores, core_slots
from autotune.running.source import StudySource, study_source
from autotune.running.storage import open_storage
from autotune.running.trial_task import RunTrial
from autotune.running.workers import Job, Workers
from autotune.search import SeededSampler, patient_median, tpe
from autotune.study import Overrides, StudySpec
from autotune.training.folder import TrialFolder, trial_folder

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
_MAX_REPLAYS = 8
_MODULES = ("autotune.running.trial_task",)
KERAS_MODULES = (*_MODULES, "autotune.training.device", "autotune.training.trial", "autotune.models")


def run(
    study: StudySpec | str | Path,
    *,
    n_trials: int | None = None,
    workers: int | None = None,
    timeout_s: float | None = None,
    epochs: int | None = None,
    folds: int | None = None,
    seed: int | None = None,
    name: str | None = None,
    storage: str | None = None,
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    observer: Observer | None = None,
) -> optuna.Study:
    """Run a study until it has all its finished trials, going on where it was.

    Args:
        study: A study file's path, or a `StudySpec`.
        n_trials: The total of finished (complete or pruned) trials over all runs; remembered by the study.
        workers: How many trials at a time; None for the number of cores.
        timeout_s: Stop after so many seconds; running trials wait with their checkpoints.
        epochs: In place of the study's own.
        folds: k of k-fold cross-validation in place of the study's own folds.
        seed: In place of the study's own.
        name: In place of the study's own.
        storage: An SQLAlchemy URL; None for `OPTUNA_STORAGE`, else SQLite in the run dir.
        run_dir: Where files are kept; None for `AUTOTUNE_RUN_DIR`, else `runs`.
        data_dir: Where datasets are looked for first; None for `AUTOTUNE_DATA`, else Keras's own cache.
        observer: Called with each `Event`, from several threads.

    Returns:
        The Optuna study. It has fewer trials than asked for only after `timeout_s`.

    Raises:
        UsageError: If the study, its data or an argument cannot be used.
        StudyFailedError: If too many trials in a row have failed.
        KeyboardInterrupt: If SIGINT, SIGTERM or SIGHUP came; the trials that ran wait as themselves.
    """
    _check_options(n_trials, workers, timeout_s)
    source = dataclasses.replace(study_source(study), overrides=Overrides(name, epochs, folds, seed))
    places = find_places(storage, run_dir, data_dir)
    make_writable(places.run_dir)
    launcher = new_launcher(KERAS_MODULES if source.needs_keras else _MODULES, _environment(os.environ))
    stopping = threading.Event()

    def stop() -> None:
        stopping.set()
        launcher.close()

    with on_signals(stop) as interrupted, contextlib.closing(launcher), warnings.catch_warnings():
        # reason: TPE's `group` says that it is experimental at every construction; it has been there since 2021.
        warnings.filterwarnings("ignore", "Argument ``group`` is an experimental")
        run_ = _Run(source, places, launcher, stopping, workers or available_cores(), observer or _ignore)
        try:
            result = run_.execute(n_trials, None if timeout_s is None else time.monotonic() + timeout_s)
        except LauncherClosedError:
            raise KeyboardInterrupt from None
        if interrupted.is_set():
            raise KeyboardInterrupt
    return result


@dataclass(frozen=True)
class _Run:
    source: StudySource
    places: Places
    launcher: Launcher
    stopping: threading.Event
    workers: int
    observer: Observer

    def execute(self, n_trials: int | None, deadline: float | None) -> optuna.Study:
        storage = open_storage(self.places.storage)  # first: what is wrong with it should not take time to be said
        recover_lost_trials(storage, str(self.source.path), self.places.study_folder)
        declared = self._ask(Declare(self.source))
        existing = find_study(storage, declared.name)
        before = read_settings(existing) if existing else None
        source, declared = self._with_remembered(before, declared)
        folder = self.places.study_folder(declared.name)
        data_dir = self.places.data_dir or (Path(before.data_dir) if before and before.data_dir else None)
        past = _past_trials(existing) if existing else []
        prepared: Preparation = self._ask(Prepare(source, data_dir, self.places.run_dir, folder, past))
        settings = self._settings(source, declared, prepared, before, n_trials, data_dir)
        if existing is not None and _has_results(existing):
            _refuse_direction(existing, declared)
            refuse_changes(declared.name, before or settings, settings, prepared.space_changes)
        study = _open_study(storage, declared)
        write_settings(study, settings)
        finished = len(study.get_trials(deepcopy=False, states=FINISHED))
        epochs = declared.epochs if prepared.rows else None
        slots = core_slots(self.workers, settings.threads)
        self.observer(RunStarted(declared.name, settings.n_trials, finished, len(slots), epochs, declared.direction))
        if finished < settings.n_trials:
            owner = Owner(folder / "workers")
            try:
                claims = Claims(study, storage, owner, settings.n_trials)
                known_space = _static_space(existing) if existing and not prepared.rows else {}
                task = partial(_task, source, prepared, settings)
                job = Job(
                    study=study,
                    claims=claims,
                    launcher=self.launcher,
                    task=task,
                    folder=partial(trial_folder, folder),
                    known_space=known_space,
                    max_failures_in_a_row=declared.max_failures_in_a_row,
                    after_trial=partial(_keep_best_models, study, folder, declared.keep_models),
                    observer=self.observer,
                )
                Workers(job, slots, self.stopping).run(deadline)
            finally:
                owner.close()
        return study

    def _ask(self, task: Any) -> Any:
        """Have a process of its own do a preparing task, and return its result."""
        process = self.launcher.start(task)
        try:
            kind, value = process.connection.recv()
        except (EOFError, ConnectionError):
            status = process.exit_status()
            if self.stopping.is_set():
                raise LauncherClosedError from None
            raise StudyFileError(
                f"the process that loads the study ended before it was done (exit status {status}).\n"
                f"{self.launcher.last_words()}",
                "Loading a study file, its dataset and its model must not end the process.",
                "Look at the lines above; run the study file alone to see more.",
            ) from None
        process.exit_status()
        if kind == "error":
            raise value
        return value

    def _with_remembered(self, before: StudySettings | None, declared: Declaration) -> tuple[StudySource, Declaration]:
        """Put the overrides of earlier runs below those of this one."""
        if before is None:
            return self.source, declared
        given = {k: v for k, v in vars(self.source.overrides).items() if v is not None}
        source = dataclasses.replace(self.source, overrides=dataclasses.replace(before.overrides, **given))
        return source, declared if source == self.source else self._ask(Declare(source))

    def _settings(
        self,
        source: StudySource,
        declared: Declaration,
        prepared: Preparation,
        before: StudySettings | None,
        n_trials: int | None,
        data_dir: Path | None,
    ) -> StudySettings:
        remembered = before.n_trials if before and before.n_trials_given else None
        total = n_trials or remembered
        return StudySettings(
            study_file=str(source.path) if source.path else None,
            n_trials=total or declared.n_trials,
            n_trials_given=total is not None,
            overrides=source.overrides,
            seed=declared.seed,
            epochs=declared.epochs,
            monitor=declared.monitor,
            epoch_policy=declared.epoch_policy,
            split=prepared.rows.digest if prepared.rows else None,
            threads=before.threads if before else max(1, available_cores() // self.workers),
            data_dir=str(data_dir) if data_dir else None,
            run_dir=str(self.places.run_dir),
        )


def find_study(storage: optuna.storages.BaseStorage, name: str) -> optuna.Study | None:
    """Return the study of that name, or None."""
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        return None


def _open_study(storage: optuna.storages.BaseStorage, declared: Declaration) -> optuna.Study:
    return optuna.create_study(
        storage=storage,
        study_name=declared.name,
        direction=declared.direction,
        load_if_exists=True,
        sampler=SeededSampler(declared.sampler or tpe, declared.seed),
        pruner=declared.pruner or patient_median(),
    )


def _task(
    source: StudySource, prepared: Preparation, settings: StudySettings, slot: Slot, folder: TrialFolder
) -> RunTrial:
    return RunTrial(source, prepared.rows, folder, slot.threads, slot.environment)


def _keep_best_models(study: optuna.Study, folder: Path, keep: int) -> None:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    for trial in sorted(complete, key=lambda t: sign * (t.value or 0.0))[keep:]:
        trial_folder(folder, trial.number).model.unlink(missing_ok=True)


def _has_results(study: optuna.Study) -> bool:
    trials = study.get_trials(deepcopy=False)
    return any(t.state in FINISHED or t.intermediate_values for t in trials)


def _past_trials(study: optuna.Study) -> list[PastTrial]:
    """Return the newest trial for each set of parameters there is: one for each branch of a conditional space."""
    newest = {
        frozenset(t.params): PastTrial(t.number, t.params, t.distributions)
        for t in study.get_trials(deepcopy=False)
        if t.params and (t.state in FINISHED)
    }
    return sorted(newest.values(), key=lambda t: t.number)[-_MAX_REPLAYS:]


def _static_space(study: optuna.Study) -> dict[str, BaseDistribution]:
    """Return the distributions of parameters that have had the same one in every trial that has not failed."""
    seen: dict[str, BaseDistribution] = {}
    dynamic: set[str] = set()
    for trial in study.get_trials(deepcopy=False):
        counts = trial.state != TrialState.FAIL
        for name, distribution in trial.distributions.items() if counts else ():
            if seen.setdefault(name, distribution) != distribution:
                dynamic.add(name)
    return {name: distribution for name, distribution in seen.items() if name not in dynamic}


def _refuse_direction(study: optuna.Study, declared: Declaration) -> None:
    before = study.direction.name.lower()
    if before != declared.direction:
        refuse(declared.name, [f"direction: was {before!r}, is now {declared.direction!r}"])


def _check_options(n_trials: int | None, workers: int | None, timeout_s: float | None) -> None:
    for option, value in {"trials": n_trials, "workers": workers, "timeout": timeout_s}.items():
        if value is not None and not value > 0:
            raise UsageError(
                f"{option} is {value}.",
                "It is to be larger than zero.",
                f"Correct --{option}, or leave it out.",
            )


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what trial processes need in their environment and the caller has not decided."""
    defaults = {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
    return {name: value for name, value in defaults.items() if name not in environment}


def _ignore(event: Event) -> None:
    pass
