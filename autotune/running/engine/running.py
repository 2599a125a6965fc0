"""Run a study: from a study file to an Optuna study with exactly the trials that were asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import optuna

from autotune.disk import telling_full_disk
from autotune.errors import SearchSpaceError, StudyChangedError
from autotune.running.engine.execution import announce, preparing, session
from autotune.running.engine.machine import Machine, check_positive
from autotune.running.engine.ray_engine import joined_ray, reachable_storage, share_cluster, work_on
from autotune.running.planning import RunOptions, plan_search
from autotune.running.study import WHY_OVER, StudySource, find_places, overridden_source, ray_address, record_trust
from autotune.running.tracking import Note, Observer, StudyWatch, Tracking, ignore
from autotune.study import Overrides, StudySpec, refuse_while_loading


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
    learn_from: Sequence[str] | str = (),
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
        cpus_per_worker: How many of Ray's CPUs each slot has; None for the threads that the study remembers, else 1.
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
        learn_from: In place of the study's own: the earlier studies whose best configurations are its first trials, if
            it begins now. "all" for all searches of the storage, "URL#NAME" for one of another storage.
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
    check_positive({"trials": n_trials})
    machine = Machine(workers, gpus, workers_per_gpu, timeout_s, lease_s, engine, cpus_per_worker)
    source = overridden_source(study, Overrides(name, epochs, folds, seed))
    if isinstance(study, (str, Path)) and source.path is not None:  # named by the user himself
        record_trust(source.path, source.digest)
    places = find_places(storage, run_dir, data_dir)
    asked = (learn_from,) if isinstance(learn_from, str) else tuple(learn_from)
    options = RunOptions(source, places, Tracking(artifacts, tensorboard, mlflow), observer or ignore, asked)
    return (_run_on_ray if engine == "ray" else _run_here)(options, machine, n_trials)


def _run_here(options: RunOptions, machine: Machine, n_trials: int | None) -> optuna.Study:
    with session(options, machine) as here:
        plan = plan_search(here.preparer, n_trials)
        here.execute(plan)
    return plan.study


def _run_on_ray(options: RunOptions, machine: Machine, n_trials: int | None) -> optuna.Study:
    """Plan the run here, then let each actor of the cluster run it with one slot, and watch the study meanwhile."""
    shared = dataclasses.replace(options.places, storage=reachable_storage(options.places))
    options, observer, threads = options.checked(), options.observer, machine.cpus_per_worker
    with (
        joined_ray(ray_address()) as ray,
        telling_full_disk(shared.run_dir),
        preparing(options, machine, threads or 1) as preparer,
    ):
        plan = plan_search(preparer, n_trials)
        preparer.launcher.close()  # this machine runs no trial
        share = share_cluster(ray, machine.workers, threads or plan.settings.threads)
        if announce(plan, share.workers, observer) < plan.settings.n_trials:
            # Nodes with their own run dirs do not have these settings.
            tracking = Tracking(plan.settings.artifacts, plan.settings.tensorboard, plan.settings.mlflow)
            given = RunOptions(options.source, shared, tracking)
            work = partial(_run_on_node, given, Machine(workers=1, lease_s=machine.lease_s), n_trials)
            try:
                with StudyWatch(plan.study, observer).watching(preparer.stopping):
                    work_on(ray, share, work, options.source.path, preparer.stopping)
            except (SearchSpaceError, StudyChangedError):
                plan.forget()
                raise
            if (why_over := plan.study.user_attrs.get(WHY_OVER)) is not None:
                observer(Note(None, why_over))
    return plan.study


def _run_on_node(options: RunOptions, machine: Machine, n_trials: int | None) -> optuna.Study:
    """Run with one slot on a node. The node finds its own data dir, unless one was given."""
    there = options.places
    places = find_places(there.storage, there.run_dir, there.data_dir)
    return _run_here(dataclasses.replace(options, places=places), machine, n_trials)
