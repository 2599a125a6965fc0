"""Run a study: from a study file to an Optuna study with exactly the trials that were asked for."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import optuna

from autotune.disk import telling_full_disk
from autotune.errors import SearchSpaceError, StudyChangedError, UsageError
from autotune.running.engine.execution import (
    Machine,
    announce,
    checked_artifacts,
    environment_of_trials,
    forget_run,
    session,
)
from autotune.running.engine.ray_engine import joined_ray, reachable_storage, share_cluster, work_on
from autotune.running.engine.stopping import stoppable
from autotune.running.planning import KERAS_MODULES, MODULES, Preparer
from autotune.running.processes import new_launcher
from autotune.running.study import (
    WHY_OVER,
    Places,
    StudySource,
    find_places,
    make_writable,
    ray_address,
    record_trust,
    study_source,
)
from autotune.running.tracking import Event, Note, Observer, StudyWatch, Tracking
from autotune.study import Overrides, StudySpec, refuse_while_loading
from autotune.study_name import check_name
from autotune.training.checkpoints import client_modules


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
    tensorboard: str | Path | None = None,
    mlflow: str | None = None,
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
        tensorboard: A folder in which each trial of a Keras study writes event files for TensorBoard, below the study's
            name; "run-dir" for `RUN_DIR/NAME/tensorboard`; remembered by the study. "none" for no longer.
        mlflow: A tracking URI of MLflow, to which each finished trial is logged as a run; remembered by the study.
            "none" for no longer.
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
    check_positive(
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
    if name is not None:
        check_name(name)
    source = dataclasses.replace(study_source(study), overrides=Overrides(name, epochs, folds, seed))
    if isinstance(study, (str, Path)) and source.path is not None:  # named by the user himself
        record_trust(source.path, source.digest)
    places = find_places(storage, run_dir, data_dir)
    tracking = Tracking(str(tensorboard) if tensorboard is not None else None, mlflow)
    if engine == "ray":
        work = partial(run, source, n_trials=n_trials, workers=1, lease_s=lease_s)
        return _run_on_ray(
            source,
            places,
            work,
            n_trials,
            workers,
            cpus_per_worker,
            artifacts,
            tracking,
            timeout_s,
            observer or _ignore,
        )
    machine = Machine(workers, gpus, workers_per_gpu, timeout_s, lease_s, artifacts, observer or _ignore, tracking)
    with session(source, places, machine) as here:
        plan = here.preparer.plan(n_trials)
        here.execute(plan)
    return plan.study


def _run_on_ray(
    source: StudySource,
    places: Places,
    work: Callable[..., object],
    n_trials: int | None,
    workers: int | None,
    cpus_per_worker: int | None,
    artifacts: str | None,
    tracking: Tracking,
    timeout_s: float | None,
    observer: Observer,
) -> optuna.Study:
    """Plan the run here; then have each worker of the cluster do `work`, and watch the study meanwhile."""
    work = partial(work, **dataclasses.asdict(source.overrides), storage=reachable_storage(places))
    work = partial(work, run_dir=places.run_dir, data_dir=places.data_dir)
    make_writable(places.run_dir)
    artifacts = checked_artifacts(artifacts)
    modules = (*KERAS_MODULES, *client_modules(artifacts))
    with joined_ray(ray_address()) as ray, telling_full_disk(places.run_dir):
        launcher = new_launcher(modules if source.needs_keras else MODULES, environment_of_trials(os.environ))
        with stoppable(launcher, timeout_s) as (stopping, patience):
            threads = cpus_per_worker or 1
            preparer = Preparer(
                source, places, launcher, stopping, 1, artifacts, modules, patience, threads, tracking, observer
            )
            plan = preparer.plan(n_trials)
            launcher.close()  # no trial runs in this process
            kept = {name: getattr(plan.settings, name) for name in ("artifacts", "tensorboard", "mlflow")}
            work = partial(work, **kept)  # nodes with run dirs of their own have not been told of it
            share = share_cluster(ray, workers, cpus_per_worker or plan.settings.threads)
            if announce(plan, share.workers, observer) < plan.settings.n_trials:
                try:
                    with StudyWatch(plan.study, observer).watching(stopping):
                        work_on(ray, share, work, source.path, stopping)
                except (SearchSpaceError, StudyChangedError):
                    forget_run(plan)
                    raise
                if (why_over := plan.study.user_attrs.get(WHY_OVER)) is not None:
                    observer(Note(None, why_over))
    return plan.study


def check_positive(options: Mapping[str, float | None]) -> None:
    """Check options that are larger than zero where they are given.

    Raises:
        UsageError: If one is not.
    """
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


def _ignore(event: Event) -> None:
    pass
