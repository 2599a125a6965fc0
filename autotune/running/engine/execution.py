"""Run the trials of a plan on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import optuna
from optuna.exceptions import StorageInternalError

from autotune.data.stored import check_stored
from autotune.disk import telling_full_disk
from autotune.errors import AutotuneError, DamagedStoreError, SearchSpaceError, StorageError, StudyChangedError
from autotune.running.claims import Claims, Lease, Owner
from autotune.running.engine.ending import Ending
from autotune.running.engine.failures_in_a_row import FailuresInARow
from autotune.running.engine.given_trials import GivenTrials
from autotune.running.engine.machine import Machine
from autotune.running.engine.slot_threads import SlotThreads
from autotune.running.engine.stopping import stoppable
from autotune.running.engine.supervising import Supervisor
from autotune.running.planning import Plan, Preparer, RunOptions, raise_total
from autotune.running.processes import (
    LauncherClosedError,
    Sharing,
    Slot,
    available_cores,
    make_room_for_files,
    new_launcher,
    share_machine,
    telling_exhausted,
)
from autotune.running.storages import storage_folder
from autotune.running.study import WHY_OVER
from autotune.running.tracking import (
    KeptModels,
    Note,
    Observer,
    TrialArtifacts,
    artifact_store,
    checkpoints_url,
    events_folder,
    mlflow_runs,
    run_started,
    write_note,
)
from autotune.running.trial import Rows, RunTrial, TryOthers, configurations
from autotune.training.checkpoints import TrialFolder, trial_folder


@dataclass(frozen=True)
class Session:
    """A run on this machine, from its first process until it is stopped.

    Attributes:
        preparer: Runs code of the study before the first trial.
        machine: The resources of the run.
        sharing: The division of these resources into slots.
    """

    preparer: Preparer
    machine: Machine
    sharing: Sharing

    def execute(self, plan: Plan) -> None:
        """Run trials of `plan` until none is left."""
        observer = self.preparer.options.observer
        slots = self.sharing.slots(plan.settings.threads, plan.declared.devices_per_trial)
        announce(plan, len(slots), observer)
        runs = mlflow_runs(plan.study, plan.folder, plan.settings, observer)
        try:
            try:
                self._run(plan, slots, runs or observer)
            finally:
                if runs is not None:
                    runs.close(self.preparer.patience.sleep)
        except (SearchSpaceError, StudyChangedError):
            plan.forget()
            raise
        with contextlib.suppress(StorageError, StorageInternalError):  # a stopped run waits for no storage
            raise_total(plan.study, plan.settings.n_trials)
            write_note(plan.study)

    def _run(self, plan: Plan, slots: list[Slot], observer: Observer) -> None:
        folder = _trial_folders(plan)
        _remove_old_checkpoints(plan.study, folder)
        with contextlib.closing(Owner(plan.folder / "workers")) as owner:
            study_id = plan.storage.get_study_id_from_name(plan.study.study_name)
            lease = Lease(plan.storage, study_id, owner.mark.parent, self.machine.lease_s, len(slots))
            claims = Claims(plan.study, plan.storage, owner, plan.budget, lease)
            if claims.census.is_complete():
                return
            ending = self._ending(plan, claims, folder, observer)
            failures = FailuresInARow(
                plan.declared.max_failures_in_a_row,
                lambda: claims.census.n_finished() > 0,
                lambda number: folder(number).log,
                lambda: self._do_others_work(plan, slots[0]),
            )
            threads = SlotThreads(ending, failures, lease, slots, self.preparer.stopping)
            _note_why_over(plan.study, claims.census.why_over())  # the stopping rule may have been changed since
            threads.run()
        if threads.why_over is not None:  # None also for a run that was stopped
            _note_why_over(plan.study, threads.why_over)
            observer(Note(None, threads.why_over))

    def _do_others_work(self, plan: Plan, slot: Slot) -> bool:
        """Tell whether other configurations get through their first epoch, or whether a trial has done so already."""
        if plan.rows is None or plan.queued or _has_reported(plan.study):
            return True
        try:
            works: bool = self.preparer.ask(TryOthers(plan.source, plan.rows, slot))
        except (AutotuneError, LauncherClosedError):  # e.g. the process was killed: nothing is known
            return True
        return works or _has_reported(plan.study)  # a trial of another slot may have, meanwhile

    def _ending(self, plan: Plan, claims: Claims, folder: Callable[[int], TrialFolder], observer: Observer) -> Ending:
        declared = plan.declared
        models = KeptModels(plan.study, plan.folder, declared.keep_models, claims.known.trials)
        supervisor = Supervisor(
            study=plan.study,
            claims=claims,
            launcher=self.preparer.launcher,
            task=lambda slot, trial, folder: RunTrial(plan.source, plan.assign(trial), folder, slot),
            known_space=plan.known_space,
            would_keep=models.would_keep,
            timeout_s=declared.trial_timeout_s,
            stopping=self.preparer.stopping,
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


def _given_trials(plan: Plan, claims: Claims, observer: Observer) -> GivenTrials | None:
    """Return the check of given configurations; None for Keras studies, whose check comes before the run."""
    given = configurations(plan.declared.baseline, plan.declared.enqueue, plan.declared.guesses)
    if plan.rows is not None or not given:
        return None
    return GivenTrials(given, lambda: claims.census.n_finished() > 0, observer)


def _damaged_rows(rows: Rows | None) -> DamagedStoreError | None:
    try:
        if rows is not None:
            check_stored(rows.dataset)  # does not map the file: reading a truncated file would end this process too
    except DamagedStoreError as error:
        return error
    return None


def _has_reported(study: optuna.Study) -> bool:
    """Tell whether any trial of a study has reached the end of an epoch."""
    return any(trial.intermediate_values for trial in study.get_trials(deepcopy=False))


def _do_nothing() -> None:
    return None


def _note_why_over(study: optuna.Study, why_over: str | None) -> None:
    if study.user_attrs.get(WHY_OVER) != why_over:
        study.set_user_attr(WHY_OVER, why_over)


@contextlib.contextmanager
def session(options: RunOptions, machine: Machine) -> Iterator[Session]:
    """Start a run on this machine. It ends with the block, by a signal, or after its time limit.

    Raises:
        UsageError: If an option cannot be used.
        KeyboardInterrupt: If a signal came.
    """
    sharing = share_machine(machine.usable_gpus(), machine.workers, machine.workers_per_gpu)
    options = options.checked()
    threads = max(1, available_cores() // sharing.workers)
    telling = telling_full_disk(*storage_folder(options.places.storage), options.places.run_dir)
    make_room_for_files(sharing.workers)
    with telling_exhausted(), telling, preparing(options, machine, threads) as preparer:
        yield Session(preparer, machine, sharing)


@contextlib.contextmanager
def preparing(options: RunOptions, machine: Machine, threads: int) -> Iterator[Preparer]:
    """Give the preparer of a run. Its processes end with the block, by a signal, or after the time limit.

    Args:
        options: The checked options of the run.
        machine: The resources of the run.
        threads: The number of threads for each trial of a new study.

    Raises:
        UsageError: If the time limit ended before a process could start.
        KeyboardInterrupt: If a signal came.
    """
    launcher = new_launcher(options.modules, machine.environment_of_trials())
    with stoppable(launcher, machine.timeout_s) as (stopping, patience):
        yield Preparer(options, launcher, stopping, threads, patience)


def announce(plan: Plan, workers: int, observer: Observer) -> int:
    """Send the event of a run that starts, and return the number of finished trials."""
    n_folds = 1 if plan.rows is None else plan.rows.design.n_folds
    folds = None if plan.queued else n_folds  # queued trials have their own splits
    begun = run_started(plan.study, plan.study.get_trials(deepcopy=False), plan.settings, workers, folds)
    observer(begun)
    return begun.finished


def _trial_folders(plan: Plan) -> Callable[[int], TrialFolder]:
    """Return the function from a trial's number to its folder."""
    copies = checkpoints_url(plan.declared.name, plan.settings)
    return partial(trial_folder, plan.folder, artifacts=copies, events=events_folder(plan.folder, plan.settings))


def _remove_old_checkpoints(study: optuna.Study, folder: Callable[[int], TrialFolder]) -> None:
    """Delete checkpoints of finished trials, left by a parent that was killed before it could delete them."""
    finished = [folder(trial.number) for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    for left in finished:
        if left.has_checkpoint() and not left.remove_checkpoint():
            return  # the artifact store does not answer: the next run tries again
