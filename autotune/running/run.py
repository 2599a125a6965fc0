"""Run a study: from a study file to an Optuna study with exactly the trials that were asked for."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import optuna
from optuna.trial import TrialState

from autotune.errors import UsageError
from autotune.running.claims import FINISHED, Claims
from autotune.running.events import Event, Observer, RunStarted
from autotune.running.interruption import on_signals
from autotune.running.ownership import Owner
from autotune.running.places import find_places, make_writable
from autotune.running.planning import KERAS_MODULES, MODULES, Plan, Preparer
from autotune.running.processes import Launcher, LauncherClosedError, new_launcher
from autotune.running.slots import available_cores, core_slots
from autotune.running.source import study_source
from autotune.running.storage import sqlite_folder
from autotune.running.trial_task import RunTrial
from autotune.running.workers import Job, Workers
from autotune.study import Overrides, StudySpec, refuse_while_loading
from autotune.training.artifacts import NOWHERE, check_store, client_modules, store_url
from autotune.training.disk import telling_full_disk
from autotune.training.folder import TrialFolder, trial_folder


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
    artifacts: str | None = None,
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
        artifacts: Where checkpoints are copied to, so that another machine can go on with a trial: a folder,
            s3://BUCKET/PREFIX or gs://BUCKET/PREFIX; remembered by the study. "none" for no longer.
        observer: Called with each `Event`, from several threads.

    Returns:
        The Optuna study. It has fewer trials than asked for only after `timeout_s`.

    Raises:
        UsageError: If the study, its data or an argument cannot be used.
        DiskFullError: If a disk is full; the trials that ran wait as themselves.
        StudyFailedError: If too many trials in a row have failed.
        KeyboardInterrupt: If SIGINT, SIGTERM or SIGHUP came; the trials that ran wait as themselves.
    """
    refuse_while_loading()
    _check_options(n_trials, workers, timeout_s)
    source = dataclasses.replace(study_source(study), overrides=Overrides(name, epochs, folds, seed))
    places = find_places(storage, run_dir, data_dir)
    make_writable(places.run_dir)
    artifacts = _checked(artifacts)
    modules = (*KERAS_MODULES, *client_modules(artifacts))
    launcher = new_launcher(modules if source.needs_keras else MODULES, _environment(os.environ))
    stopping = threading.Event()

    def stop() -> None:
        stopping.set()
        launcher.close()

    telling = telling_full_disk(*sqlite_folder(places.storage), places.run_dir)
    with telling, on_signals(stop) as interrupted, contextlib.closing(launcher), warnings.catch_warnings():
        # reason: TPE's `group` says that it is experimental at every construction; it has been there since 2021.
        warnings.filterwarnings("ignore", "Argument ``group`` is an experimental")
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        preparer = Preparer(source, places, launcher, stopping, workers or available_cores(), artifacts, modules)
        try:
            result = _execute(preparer, launcher, stopping, n_trials, deadline, observer or _ignore)
        except LauncherClosedError:
            raise KeyboardInterrupt from None
        if interrupted.is_set():
            raise KeyboardInterrupt
    return result


def _execute(
    preparer: Preparer,
    launcher: Launcher,
    stopping: threading.Event,
    n_trials: int | None,
    deadline: float | None,
    observer: Observer,
) -> optuna.Study:
    plan = preparer.plan(n_trials)
    declared, settings, workers = plan.declared, plan.settings, preparer.workers
    study = plan.study
    finished = len(study.get_trials(deepcopy=False, states=FINISHED))
    epochs = declared.epochs if plan.rows else None
    observer(RunStarted(declared.name, settings.n_trials, finished, workers, epochs, declared.direction))
    folder = _trial_folders(plan)
    _remove_old_checkpoints(study, folder)
    if finished >= settings.n_trials:
        return study
    with contextlib.closing(Owner(plan.folder / "workers")) as owner:
        job = Job(
            study=study,
            claims=Claims(study, plan.storage, owner, settings.n_trials),
            launcher=launcher,
            task=lambda slot, folder: RunTrial(plan.source, plan.rows, folder, slot.threads, slot.environment),
            folder=folder,
            known_space=plan.known_space,
            max_failures_in_a_row=declared.max_failures_in_a_row,
            after_trial=partial(_keep_best_models, study, plan.folder, declared.keep_models),
            observer=observer,
        )
        Workers(job, core_slots(workers, settings.threads), stopping).run(deadline)
    return study


def _keep_best_models(study: optuna.Study, folder: Path, keep: int) -> None:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    for trial in sorted(complete, key=lambda t: sign * (t.value or 0.0))[keep:]:
        with contextlib.suppress(OSError):  # gone, or another machine's: no reason to end a search
            trial_folder(folder, trial.number).model.unlink()


def _trial_folders(plan: Plan) -> Callable[[int], TrialFolder]:
    """Return the way from a trial's number to its folder."""
    settings = plan.settings
    artifacts = f"{settings.artifacts}/{plan.declared.name}/{settings.token}" if settings.artifacts else None
    return partial(trial_folder, plan.folder, artifacts=artifacts)


def _remove_old_checkpoints(study: optuna.Study, folder: Callable[[int], TrialFolder]) -> None:
    """Delete what a parent has left that was killed between the end of a trial and its tidying up."""
    finished = [folder(trial.number) for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    for left in finished:
        if left.has_checkpoint() and not left.remove_checkpoint():
            return  # the artifact store does not answer: the next run tries again


def _checked(artifacts: str | None) -> str | None:
    if artifacts in (None, NOWHERE):
        return artifacts
    url = store_url(artifacts)
    check_store(url)
    return url


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
