"""Run a study: from a study file to an Optuna study with exactly the trials that were asked for."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import optuna
from optuna.trial import TrialState

from autotune.errors import UsageError
from autotune.running.claims import FINISHED, Budget, Claims
from autotune.running.events import Event, Note, Observer, RunStarted
from autotune.running.gpus import NO_GPU, select_gpus, visible_gpus
from autotune.running.leases import Lease
from autotune.running.ownership import Owner
from autotune.running.places import Places, find_places, make_writable, ray_address
from autotune.running.planning import KERAS_MODULES, MODULES, Plan, Preparer
from autotune.running.processes import Launcher, new_launcher
from autotune.running.ray_engine import joined_ray, reachable_storage, share_cluster, work_on
from autotune.running.slots import Sharing, share_machine
from autotune.running.source import StudySource, study_source
from autotune.running.stopping import stoppable
from autotune.running.storage_url import storage_folder
from autotune.running.supervising import Supervisor
from autotune.running.trial_task import RunTrial
from autotune.running.watching import StudyWatch
from autotune.running.workers import Job, Workers
from autotune.study import Overrides, StudySpec, refuse_while_loading
from autotune.training.artifacts import NOWHERE, check_store, client_modules, store_url
from autotune.training.disk import telling_full_disk
from autotune.training.folder import TrialFolder, trial_folder


def run(
    study: StudySpec | StudySource | str | Path,
    *,
    n_trials: int | None = None,
    workers: int | None = None,
    timeout_s: float | None = None,
    lease_s: float = 60.0,
    engine: Literal["local", "ray"] = "local",
    cpus_per_worker: int | None = None,
    epochs: int | None = None,
    folds: int | None = None,
    seed: int | None = None,
    name: str | None = None,
    storage: str | None = None,
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    gpus: str | Sequence[int | str] | None = None,
    workers_per_gpu: int | None = None,
    artifacts: str | None = None,
    observer: Observer | None = None,
) -> optuna.Study:
    """Run a study until it has all its finished trials, going on where it was.

    Args:
        study: A study file's path, or a `StudySpec`.
        n_trials: The total of finished (complete or pruned) trials over all runs; remembered by the study.
        workers: How many trials at a time; None for as many as the GPUs have, without any GPU for the number of cores.
            More than there are GPUs share them.
        timeout_s: Stop after so many seconds; running trials wait with their checkpoints.
        lease_s: Parents on other machines take this one for gone when it has not been heard of for so many seconds,
            and go on with its trials.
        engine: "local" for this machine; "ray" for the nodes of the Ray cluster that `RAY_ADDRESS` names, else of one
            that is started on this machine for the time of the run. There `workers` is None for one on each GPU,
            without any GPU for as many as fit; more than fit wait for nodes that join.
        cpus_per_worker: How many of Ray's CPUs each worker has; None for the threads that the study remembers, else 1.
        epochs: In place of the study's own.
        folds: k of k-fold cross-validation in place of the study's own folds.
        seed: In place of the study's own.
        name: In place of the study's own.
        storage: An SQLAlchemy URL; None for `OPTUNA_STORAGE`, else SQLite in the run dir.
        run_dir: Where files are kept; None for `AUTOTUNE_RUN_DIR`, else `runs`.
        data_dir: Where datasets are looked for first; None for `AUTOTUNE_DATA`, else Keras's own cache.
        gpus: Which of the visible GPUs, by position or UUID: `[0, 2]` or "0,2"; None for all of them, "none" for none.
        workers_per_gpu: How many trials share a GPU, each with an equal part of its memory; None for one, or as many as
            `workers` need.
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
    _check_options(
        {
            "trials": n_trials,
            "workers": workers,
            "workers-per-gpu": workers_per_gpu,
            "cpus-per-worker": cpus_per_worker,
            "timeout": timeout_s,
            "lease": lease_s,
        }
    )
    _check_engine(engine, cpus_per_worker, gpus, workers_per_gpu)
    source = dataclasses.replace(study_source(study), overrides=Overrides(name, epochs, folds, seed))
    places = find_places(storage, run_dir, data_dir)
    if engine == "ray":
        work = partial(run, source, n_trials=n_trials, workers=1, lease_s=lease_s, artifacts=artifacts)
        return _run_on_ray(
            source, places, work, n_trials, workers, cpus_per_worker, artifacts, timeout_s, observer or _ignore
        )
    visible = visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER"))
    sharing = share_machine(select_gpus(visible, gpus), workers, workers_per_gpu)
    environment = _environment(os.environ)
    if visible or gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = NO_GPU  # only a slot shows one, to the process of a trial
    make_writable(places.run_dir)
    artifacts = _checked(artifacts)
    modules = (*KERAS_MODULES, *client_modules(artifacts))
    launcher = new_launcher(modules if source.needs_keras else MODULES, environment)
    telling = telling_full_disk(*storage_folder(places.storage), places.run_dir)
    with telling, stoppable(launcher, timeout_s) as (stopping, patience):
        preparer = Preparer(source, places, launcher, stopping, sharing.workers, artifacts, modules, patience)
        return _execute(preparer, sharing, launcher, stopping, n_trials, lease_s, observer or _ignore)


def _run_on_ray(
    source: StudySource,
    places: Places,
    work: Callable[..., object],
    n_trials: int | None,
    workers: int | None,
    cpus_per_worker: int | None,
    artifacts: str | None,
    timeout_s: float | None,
    observer: Observer,
) -> optuna.Study:
    """Plan the run here; then have each worker of the cluster do `work`, and watch the study meanwhile."""
    work = partial(work, **dataclasses.asdict(source.overrides), storage=reachable_storage(places))
    work = partial(work, run_dir=places.run_dir, data_dir=places.data_dir)
    make_writable(places.run_dir)
    artifacts = _checked(artifacts)
    modules = (*KERAS_MODULES, *client_modules(artifacts))
    with joined_ray(ray_address()) as ray, telling_full_disk(places.run_dir):
        launcher = new_launcher(modules if source.needs_keras else MODULES, _environment(os.environ))
        with stoppable(launcher, timeout_s) as (stopping, patience):
            threads = cpus_per_worker or 1
            preparer = Preparer(source, places, launcher, stopping, 1, artifacts, modules, patience, threads)
            plan = preparer.plan(n_trials)
            launcher.close()  # no trial runs in this process
            share = share_cluster(ray, workers, cpus_per_worker or plan.settings.threads)
            if _announce(plan, share.workers, observer) < plan.settings.n_trials:
                with StudyWatch(plan.study, observer).watching(stopping):
                    work_on(ray, share, work, source.path, stopping)
    return plan.study


def _execute(
    preparer: Preparer,
    sharing: Sharing,
    launcher: Launcher,
    stopping: threading.Event,
    n_trials: int | None,
    lease_s: float,
    observer: Observer,
) -> optuna.Study:
    plan = preparer.plan(n_trials)
    declared, settings = plan.declared, plan.settings
    study = plan.study
    budget = Budget(settings.n_trials, declared.count_failed, declared.max_retries)
    _announce(plan, sharing.workers, observer)
    folder = _trial_folders(plan)
    _remove_old_checkpoints(study, folder)
    with contextlib.closing(Owner(plan.folder / "workers")) as owner:
        study_id = plan.storage.get_study_id_from_name(study.study_name)
        lease = Lease(plan.storage, study_id, owner.mark.parent, lease_s, sharing.workers)
        claims = Claims(study, plan.storage, owner, budget, lease)
        if claims.is_complete():
            return study
        supervisor = Supervisor(
            study=study,
            claims=claims,
            launcher=launcher,
            task=lambda slot, folder: RunTrial(plan.source, plan.rows, folder, slot),
            known_space=plan.known_space,
            timeout_s=declared.trial_timeout_s,
            stopping=stopping,
            observer=observer,
        )
        job = Job(
            study=study,
            claims=claims,
            lease=lease,
            supervisor=supervisor,
            folder=folder,
            max_failures_in_a_row=declared.max_failures_in_a_row,
            after_trial=partial(_keep_best_models, study, plan.folder, declared.keep_models if plan.rows else None),
            observer=observer,
        )
        workers = Workers(job, sharing.slots(settings.threads), stopping)
        workers.run()
        if workers.has_tried_all:
            observer(Note(None, "every configuration of the search space has been tried: there is nothing left to do"))
    return study


def _announce(plan: Plan, workers: int, observer: Observer) -> int:
    """Tell that a run begins, and return how many trials are finished."""
    declared, n_trials = plan.declared, plan.settings.n_trials
    finished = len(plan.study.get_trials(deepcopy=False, states=FINISHED))
    epochs = declared.epochs if plan.rows else None
    observer(RunStarted(declared.name, n_trials, finished, workers, epochs, declared.direction))
    return finished


def _keep_best_models(study: optuna.Study, folder: Path, keep: int | None) -> None:
    if keep is None:  # a plain objective: there are none
        return
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


def _check_options(options: Mapping[str, float | None]) -> None:
    for option, value in options.items():
        if value is not None and not value > 0:
            raise UsageError(
                f"{option} is {value}.",
                "It is to be larger than zero.",
                f"Correct --{option}, or leave it out.",
            )


def _check_engine(engine: object, cpus_per_worker: int | None, gpus: object, workers_per_gpu: int | None) -> None:
    if engine not in ("local", "ray"):
        raise UsageError(
            f"there is no engine {engine!r}.",
            "The engines are 'local' (this machine) and 'ray' (a Ray cluster).",
            "Choose one of them with --engine, or leave it out for 'local'.",
        )
    if engine == "local" and cpus_per_worker is not None:
        raise UsageError(
            f"cpus-per-worker is {cpus_per_worker}, but the engine is 'local'.",
            "It says how many CPUs of a Ray cluster each worker has; on this machine the cores divided by the workers "
            "decide.",
            "Add --engine ray, or leave out --cpus-per-worker.",
        )
    if engine == "ray" and (gpus is not None or workers_per_gpu is not None):
        raise UsageError(
            "gpus and workers-per-gpu are for this machine, but the engine is 'ray'.",
            "Ray gives each worker a GPU of its own.",
            "Leave out --gpus and --workers-per-gpu; to keep GPUs from Ray, start its nodes with --num-gpus.",
        )


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what trial processes need in their environment and the caller has not decided."""
    defaults = {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
    return {name: value for name, value in defaults.items() if name not in environment}


def _ignore(event: Event) -> None:
    pass
