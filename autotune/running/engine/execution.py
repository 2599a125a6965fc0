"""The trials of a plan, run on this machine."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import optuna
from optuna.exceptions import StorageInternalError

from autotune.data import Holdout, check_stored
from autotune.disk import telling_full_disk
from autotune.errors import DamagedStoreError, SearchSpaceError, StorageError, StudyChangedError
from autotune.running.claims import Claims, Lease, Owner
from autotune.running.engine.ending import Ending
from autotune.running.engine.failures_in_a_row import FailuresInARow
from autotune.running.engine.given_trials import GivenTrials
from autotune.running.engine.slot_threads import SlotThreads
from autotune.running.engine.stopping import stoppable
from autotune.running.engine.supervising import Supervisor
from autotune.running.planning import (
    KERAS_MODULES,
    MODULES,
    Plan,
    Preparer,
    forget_refused,
    forget_unbegun,
    raise_total,
)
from autotune.running.processes import (
    NO_GPU,
    Gpu,
    Launcher,
    Sharing,
    make_room_for_files,
    new_launcher,
    select_gpus,
    share_machine,
    telling_exhausted,
    visible_gpus,
)
from autotune.running.storages import storage_folder
from autotune.running.study import WHY_OVER, Places, StudySource, make_writable
from autotune.running.tracking import (
    KeptModels,
    Note,
    Observer,
    Tracking,
    TrialArtifacts,
    artifact_store,
    checkpoints_url,
    events_folder,
    mlflow_runs,
    run_started,
    write_note,
)
from autotune.running.trial import Rows, RunTrial, configurations
from autotune.training.checkpoints import NOWHERE, TrialFolder, check_store, client_modules, store_url, trial_folder


@dataclass(frozen=True)
class Machine:
    """What a run may use of this machine, and who is told of it.

    Attributes:
        workers: How many trials at a time; None for as many as the GPUs have, without any GPU for the number of cores.
        gpus: Which of the visible GPUs; None for all, "none" for none.
        workers_per_gpu: How many trials share a GPU.
        timeout_s: When to stop, in seconds from now; None for never.
        lease_s: After how many seconds without news others take over.
        artifacts: Where checkpoints are copied to; None for where the study remembers.
        observer: Told what happens.
        tracking: Where else the study is shown.
    """

    workers: int | None
    gpus: str | Sequence[int | str] | None
    workers_per_gpu: int | None
    timeout_s: float | None
    lease_s: float
    artifacts: str | None
    observer: Observer
    tracking: Tracking = Tracking()  # noqa: RUF009 -- reason: frozen, and equal to every other Tracking()


@dataclass(frozen=True)
class Session:
    """A machine at work: processes can be started until it is stopped.

    Attributes:
        preparer: Makes the plan.
        machine: What it may use.
        sharing: How that is shared among slots.
        launcher: Starts processes.
        stopping: Set before the launcher is closed.
    """

    preparer: Preparer
    machine: Machine
    sharing: Sharing
    launcher: Launcher
    stopping: threading.Event

    def execute(self, plan: Plan) -> None:
        """Run the trials of `plan` until it has all that it is to have."""
        observer = self.machine.observer
        announce(plan, self.sharing.workers, observer)
        runs = mlflow_runs(plan.study, plan.folder, plan.settings, observer)
        try:
            try:
                self._run(plan, runs or observer)
            finally:
                if runs is not None:
                    runs.close(self.preparer.patience.sleep if self.preparer.patience else time.sleep)
        except (SearchSpaceError, StudyChangedError):
            forget_run(plan)
            raise
        with contextlib.suppress(StorageError, StorageInternalError):  # whoever stops does not wait for a storage
            raise_total(plan.study, plan.settings.n_trials)
            write_note(plan.study)

    def _run(self, plan: Plan, observer: Observer) -> None:
        folder = _trial_folders(plan)
        _remove_old_checkpoints(plan.study, folder)
        with contextlib.closing(Owner(plan.folder / "workers")) as owner:
            study_id = plan.storage.get_study_id_from_name(plan.study.study_name)
            lease = Lease(plan.storage, study_id, owner.mark.parent, self.machine.lease_s, self.sharing.workers)
            claims = Claims(plan.study, plan.storage, owner, plan.budget, lease)
            if claims.census.is_complete():
                return
            ending = self._ending(plan, claims, folder, observer)
            failures = FailuresInARow(
                plan.declared.max_failures_in_a_row,
                lambda: claims.census.n_finished() > 0,
                lambda number: folder(number).log,
            )
            slots = self.sharing.slots(plan.settings.threads)
            threads = SlotThreads(ending, failures, lease, slots, self.stopping)
            _note_why_over(plan.study, claims.census.why_over())  # by now there may be more patience, say
            threads.run()
        if threads.why_over is not None:  # a parent that was stopped does not know
            _note_why_over(plan.study, threads.why_over)
            observer(Note(None, threads.why_over))

    def _ending(self, plan: Plan, claims: Claims, folder: Callable[[int], TrialFolder], observer: Observer) -> Ending:
        declared = plan.declared
        models = KeptModels(plan.study, plan.folder, declared.keep_models, claims.known.trials)
        supervisor = Supervisor(
            study=plan.study,
            claims=claims,
            launcher=self.launcher,
            task=lambda slot, trial, folder: RunTrial(plan.source, plan.assign(trial), folder, slot),
            known_space=plan.known_space,
            would_keep=models.would_keep,
            timeout_s=declared.trial_timeout_s,
            stopping=self.stopping,
            observer=observer,
            monitor=declared.monitor,
            given=_given_trials(plan, claims, observer),
            damaged_rows=lambda trial: _damaged_rows(plan.assign(trial).rows),
        )
        return Ending(
            supervisor=supervisor,
            folder=folder,
            artifacts=TrialArtifacts(artifact_store(plan.folder, plan.settings), observer),
            after_trial=models.tidy if plan.rows else _do_nothing,  # plain objectives have none
        )


def forget_run(plan: Plan) -> None:
    """Undo what a run did to its study that was refused as its first trials showed another space."""
    if plan.is_new:
        forget_unbegun(plan.study)
    elif plan.before is not None:
        forget_refused(plan.study, plan.before, plan.n_before)


def _given_trials(plan: Plan, claims: Claims, observer: Observer) -> GivenTrials | None:
    """Return what is given to a plain objective; where a network is built, its space was asked for beforehand."""
    given = configurations(plan.declared.baseline, plan.declared.enqueue)
    if plan.rows is not None or not given:
        return None
    return GivenTrials(given, lambda: claims.census.n_finished() > 0, observer)


def _damaged_rows(rows: Rows | None) -> DamagedStoreError | None:
    try:
        if rows is not None:
            check_stored(rows.dataset)  # not opened: reading what is gone would end this process, too
    except DamagedStoreError as error:
        return error
    return None


def _do_nothing() -> None:
    return None


def _note_why_over(study: optuna.Study, why_over: str | None) -> None:
    if study.user_attrs.get(WHY_OVER) != why_over:
        study.set_user_attr(WHY_OVER, why_over)


@contextlib.contextmanager
def session(source: StudySource, places: Places, machine: Machine) -> Iterator[Session]:
    """Take what a run may use of this machine, until the end of the block, a signal, or its time is over.

    Raises:
        UsageError: If an option cannot be used.
        KeyboardInterrupt: If a signal came.
    """
    gpus = gpus_of(machine)
    sharing = share_machine(gpus, machine.workers, machine.workers_per_gpu)
    environment = environment_of_trials(os.environ)
    if _visible() or machine.gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = NO_GPU  # only a slot shows one, to the process of a trial
    make_writable(places.run_dir)
    artifacts = checked_artifacts(machine.artifacts)
    modules = (*KERAS_MODULES, *client_modules(artifacts))
    launcher = new_launcher(modules if source.needs_keras else MODULES, environment)
    telling = telling_full_disk(*storage_folder(places.storage), places.run_dir)
    make_room_for_files(sharing.workers)
    with telling_exhausted(), telling, stoppable(launcher, machine.timeout_s) as (stopping, patience):
        preparer = Preparer(
            source,
            places,
            launcher,
            stopping,
            sharing.workers,
            artifacts,
            modules,
            patience,
            tracking=machine.tracking,
            observer=machine.observer,
        )
        yield Session(preparer, machine, sharing, launcher, stopping)


def gpus_of(machine: Machine) -> list[Gpu]:
    """Return the GPUs that a run may use.

    Raises:
        UsageError: If there are no such GPUs.
    """
    return select_gpus(_visible(), machine.gpus)


def _visible() -> list[Gpu]:
    return visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER"))


def announce(plan: Plan, workers: int, observer: Observer) -> int:
    """Tell that a run begins, and return how many trials are finished."""
    declared = 1 if isinstance(plan.declared.folds, Holdout) else plan.declared.folds.k
    folds = None if plan.queued else declared  # trials that are queued have splits of their own
    begun = run_started(plan.study, plan.study.get_trials(deepcopy=False), plan.settings, workers, folds)
    observer(begun)
    return begun.finished


def _trial_folders(plan: Plan) -> Callable[[int], TrialFolder]:
    """Return the way from a trial's number to its folder."""
    copies = checkpoints_url(plan.declared.name, plan.settings)
    return partial(trial_folder, plan.folder, artifacts=copies, events=events_folder(plan.folder, plan.settings))


def _remove_old_checkpoints(study: optuna.Study, folder: Callable[[int], TrialFolder]) -> None:
    """Delete what a parent has left that was killed between the end of a trial and its tidying up."""
    finished = [folder(trial.number) for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    for left in finished:
        if left.has_checkpoint() and not left.remove_checkpoint():
            return  # the artifact store does not answer: the next run tries again


def environment_of_trials(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what trial processes need in their environment and the caller has not decided."""
    defaults = {"TF_CPP_MIN_LOG_LEVEL": "2"}
    return {name: value for name, value in defaults.items() if name not in environment}


def checked_artifacts(artifacts: str | None) -> str | None:
    """Return the URL of an artifact store in one form, after a look whether it can be used."""
    if artifacts in (None, NOWHERE):
        return artifacts
    url = store_url(artifacts)
    check_store(url)
    return url
