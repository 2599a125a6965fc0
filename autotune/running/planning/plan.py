"""What a run is going to do: the study as declared, its data, its settings, held against what is stored."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import optuna
from optuna.pruners import NopPruner
from optuna.trial import FrozenTrial

from autotune.data import Holdout
from autotune.errors import StudyFileError, UsageError
from autotune.running.planning.queued import LEARNING_CURVE, NothingToSuggest, Queue, QueuedTrial, assignment_of, key_of
from autotune.running.planning.recovery import recover_lost_trials
from autotune.running.planning.stored_study import (
    find_study,
    has_results,
    known_space,
    open_study,
    past_trials,
    refuse_direction,
    remember,
)
from autotune.running.processes import KILLED, Launcher, LauncherClosedError, available_cores
from autotune.running.storages import Patience, open_storage
from autotune.running.study import (
    FINISHED,
    Budget,
    KnownSpace,
    Places,
    StudySettings,
    StudySource,
    leave_elsewhere,
    leave_token,
    read_settings,
    refuse,
    refuse_changes,
    refuse_elsewhere,
    write_settings,
)
from autotune.running.tracking import Event, Note, Observer, Tracking
from autotune.running.trial import Assignment, Declaration, Declare, Preparation, Prepare, Rows
from autotune.search.pruners import pruning_note
from autotune.training.checkpoints import NOWHERE, check_store

MODULES = ("autotune.running.trial.trial_task",)
_FIGURES = ("autotune.figures.epochs", "autotune.figures.confusion", "matplotlib.backends.backend_agg")
KERAS_MODULES = (
    *MODULES,
    "autotune.training.fitting.device",
    "autotune.training.trials.trial",
    "autotune.spaces",
    *_FIGURES,
)


@dataclass(frozen=True)
class Plan:
    """A study that is ready to run.

    Attributes:
        study: The Optuna study, with its sampler and pruner.
        storage: Its storage.
        folder: Its folder in the run dir.
        source: Its code, as overridden in this run and earlier ones.
        declared: What the study file says, as overridden.
        rows: Where its data are; None for a plain objective.
        settings: What it remembers.
        budget: Which trials it is to have.
        assign: From a trial to what it trains on.
        known_space: What the search space may not differ from; None for anything goes, unless a plain objective was
            edited: it may also vary a range from trial to trial.
        queued: The trials that it consists of, where these are known beforehand; none for a search.
        is_new: Whether this run has made the study.
        before: What it remembered before this run; None for nothing.
        n_before: How many trials it had.
    """

    study: optuna.Study
    storage: optuna.storages.BaseStorage
    folder: Path
    source: StudySource
    declared: Declaration
    rows: Rows | None
    settings: StudySettings
    budget: Budget
    assign: Callable[[optuna.Trial | FrozenTrial], Assignment]
    known_space: KnownSpace | None
    queued: Sequence[QueuedTrial] = ()
    is_new: bool = False
    before: StudySettings | None = None
    n_before: int = 0


@dataclass(frozen=True)
class _Known:
    storage: optuna.storages.BaseStorage
    source: StudySource
    declared: Declaration
    existing: optuna.Study | None
    before: StudySettings | None
    prepared: Preparation
    settings: StudySettings


def _ignore(event: Event) -> None:
    pass


@dataclass(frozen=True)
class Preparer:
    """Makes the plan of a run, in processes of the launcher where code of the study file is run.

    Attributes:
        source: The study's code.
        places: Where its records and files are.
        launcher: Starts processes.
        stopping: Set by whoever closes the launcher, before doing so.
        workers: How many trials are to run at a time.
        artifacts: Where checkpoints are copied to, checked; None for where the study remembers.
        modules: What trials of Keras studies need imported.
        patience: How to wait for a storage that is away.
        threads: How many threads each is to have in a new study; None for the cores divided by `workers`.
        tracking: Where else the study is shown.
        observer: Told what a person should know of the data.
    """

    source: StudySource
    places: Places
    launcher: Launcher
    stopping: threading.Event
    workers: int
    artifacts: str | None = None
    modules: tuple[str, ...] = KERAS_MODULES
    patience: Patience | None = None
    threads: int | None = None
    tracking: Tracking = Tracking()  # noqa: RUF009 -- reason: frozen, and equal to every other Tracking()
    observer: Observer = _ignore

    def plan(self, n_trials: int | None) -> Plan:
        """Load the study, prepare its data, and open it in its storage.

        Args:
            n_trials: The total of finished trials that is asked for; None for what the study remembers or declares.

        Raises:
            UsageError: If the study, its data or its storage cannot be used, or the study is not what it was.
        """
        known = self._known(n_trials, repeats=0)
        declared, settings, rows = known.declared, known.settings, known.prepared.rows
        study = open_study(known.storage, declared)
        before = known.before
        settings = remember(study, self.places.study_folder(declared.name), settings, before)
        if before is None or not study.get_trials(deepcopy=False, states=FINISHED):  # it may have been corrected since
            for params in declared.enqueue:
                study.enqueue_trial(dict(params), skip_if_exists=True)
        leave_token(self.places.study_folder(declared.name), settings.token)
        if note := _pruning_note(declared, settings.n_trials):
            self.observer(Note(None, note))
        is_edited = before is not None and before.study_digest not in ("", known.source.digest)
        return Plan(
            study=study,
            storage=known.storage,
            folder=self.places.study_folder(declared.name),
            source=known.source.without_dataset(),
            declared=declared,
            rows=rows,
            settings=settings,
            budget=declared.budget(settings.n_trials),
            assign=lambda trial: Assignment(rows, ("trial", trial.number)),
            known_space=known_space(known.existing) if known.existing and is_edited and not rows else None,
            is_new=known.existing is None,
            before=before,
            n_before=len(study.get_trials(deepcopy=False)),
        )

    def plan_queue(
        self, repeats: int, queue_of: Callable[[Declaration], Queue], fractions: tuple[float, ...] = (1.0,)
    ) -> Plan:
        """Prepare to train configurations of the study again.

        Args:
            repeats: With how many seeds.
            queue_of: From the study to the trials that are to be, if it was not begun with others.
            fractions: On which shares of the training rows.

        Raises:
            UsageError: As `plan` does.
        """
        known = self._known(None, repeats, fractions)
        queue = queue_of(known.declared)
        folder = self.places.study_folder(queue.name)
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "queue.lock"):  # two that begin at the same time begin the same
            if begun := find_study(known.storage, queue.name):
                queue = queue.as_begun(begun)
            n_trials, source = len(queue.trials), known.source
            source = dataclasses.replace(source, overrides=dataclasses.replace(source.overrides, name=queue.name))
            declared = dataclasses.replace(
                known.declared,
                name=queue.name,
                sampler=NothingToSuggest,
                pruner=NopPruner(),
                n_trials=n_trials,
                stop=None,
                keep_models=n_trials if any(trial.refit for trial in queue.trials) else 0,
                max_failures_in_a_row=n_trials + 1,
            )
            settings = dataclasses.replace(
                known.settings, n_trials=n_trials, overrides=source.overrides, part_of=known.declared.name
            )
            study = open_study(known.storage, declared)
            write_settings(study, settings)
            leave_token(folder, settings.token)
            leave_elsewhere(folder, settings, {"artifacts": settings.artifacts})  # as it was checked for the search
            queue.fill(study)
        needed = {(trial.repeat, trial.fraction) for trial in queue.trials}
        if known.prepared.rows and not needed <= known.prepared.repeats.keys():  # it was begun with others
            repeats, fractions = 1 + max(needed)[0], tuple({fraction for _, fraction in needed})
            return self.plan_queue(repeats, queue_of, fractions)
        return Plan(
            study=study,
            storage=known.storage,
            folder=folder,
            source=source.without_dataset(),
            declared=declared,
            rows=known.prepared.rows,
            settings=settings,
            budget=declared.budget(None),
            assign=lambda trial: assignment_of(trial.user_attrs, known.prepared),
            known_space=None,
            queued=queue.trials,
        )

    def plan_replay(self, trial: FrozenTrial, repeats: int) -> tuple[StudySource, Assignment, StudySettings]:
        """Find out how a stored trial was trained: by which code, on what, and with which threads.

        Args:
            trial: A trial of the study, or one that was queued for it.
            repeats: With how many seeds trials were queued; 0 for a trial of the search itself.

        Raises:
            UsageError: As `plan` does.
        """
        known = self._known(None, repeats, (key_of(trial).fraction,))
        rows = known.prepared.rows
        place = ("trial", trial.number)
        assignment = assignment_of(trial.user_attrs, known.prepared) if repeats else Assignment(rows, place)
        return known.source.without_dataset(), assignment, known.settings

    def _known(self, n_trials: int | None, repeats: int, fractions: tuple[float, ...] = (1.0,)) -> _Known:
        # First: what is wrong with it should not take time to be said.
        storage = open_storage(self.places.storage, self.patience)
        recover_lost_trials(storage, str(self.source.path), self.places.study_folder)
        declared: Declaration = self.ask(Declare(self.source))
        if declared.needs_keras:
            self.launcher.preload(self.modules)
        existing = find_study(storage, declared.name)
        before = read_settings(existing) if existing else None
        _refuse_part(before, declared.name)
        source, declared = self._with_remembered(before, declared)
        folder = self.places.study_folder(declared.name)
        given = {"artifacts": self.artifacts, **vars(self.tracking)}
        refuse_elsewhere(declared.name, folder, before, given)
        data_dir = self.places.data_dir or (Path(before.data_dir) if before and before.data_dir else None)
        past = past_trials(existing) if existing else []
        prepare = Prepare(source, data_dir, self.places.run_dir, folder, past, repeats, fractions)
        prepared: Preparation = self.ask(prepare)
        for text in prepared.notes:
            self.observer(Note(None, text))
        _refuse_given(prepared.given_problems)
        settings = self._settings(source, declared, prepared, before, n_trials, data_dir)
        leave_elsewhere(folder, settings, given)
        if existing is not None:
            refuse_direction(existing, declared)
            if has_results(existing):
                refuse_changes(declared.name, before or settings, settings, prepared.space_changes)
            elif prepared.choice_changes:  # which Optuna allows in no study, whatever became of its trials
                refuse(declared.name, prepared.choice_changes)
        return _Known(storage, source, declared, existing, before, prepared, settings)

    def ask(self, task: Any, attempts: int = 3) -> Any:
        """Have a process of its own do a preparing task, and return its result."""
        process = self.launcher.start(task)
        try:
            with _importing_beside(self.source.path):
                kind, value = process.connection.recv()
        except (EOFError, ConnectionError):
            status = process.exit_status()
            if self.stopping.is_set():
                raise LauncherClosedError from None
            if attempts > 1 and (status is None or status in KILLED):  # by somebody else, for all one can tell
                return self.ask(task, attempts - 1)
            raise self._died(status) from None
        process.exit_status()
        if kind == "error":
            raise value
        return value

    def _died(self, status: int | None) -> StudyFileError:
        return StudyFileError(
            f"the process that loads the study ended before it was done (exit status {status}).\n"
            f"{self.launcher.last_words()}",
            "Loading a study file, its dataset and its model must not end the process.",
            "Look at the lines above; run the study file alone to see more.",
        )

    def _with_remembered(self, before: StudySettings | None, declared: Declaration) -> tuple[StudySource, Declaration]:
        """Put the overrides of earlier runs below those of this one."""
        if before is None:
            return self.source, declared
        given = {k: v for k, v in vars(self.source.overrides).items() if v is not None}
        source = dataclasses.replace(self.source, overrides=dataclasses.replace(before.overrides, **given))
        return source, declared if source == self.source else self.ask(Declare(source))

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
        threads = self.threads or max(1, available_cores() // self.workers)
        return StudySettings(
            study_file=str(source.path) if source.path else None,
            study_digest=before.study_digest if before else source.digest,
            n_trials=total or declared.n_trials,
            n_trials_given=total is not None,
            overrides=source.overrides,
            seed=declared.seed,
            epochs=declared.epochs,
            monitor=declared.monitor,
            minimize=list(declared.minimize),
            epoch_policy=declared.epoch_policy,
            split=prepared.rows.digest if prepared.rows else None,
            threads=before.threads if before else threads,
            data_dir=str(data_dir) if data_dir else None,
            run_dir=str(self.places.run_dir),
            artifacts=self._artifacts(before),
            token=before.token if before and before.token else uuid.uuid4().hex[:8],
            max_retries=declared.max_retries,
            train_fraction=declared.train_fraction,
            epochs_per_pass=declared.epochs_per_pass,
            tensorboard=self.tracking.tensorboard_of(before, declared.monitor),
            mlflow=self.tracking.mlflow_of(before),
            question=source.question or (before.question if before else ""),
            data=prepared.description,
            leaks=prepared.leaks,
        )

    def _artifacts(self, before: StudySettings | None) -> str | None:
        if self.artifacts is not None:
            return None if self.artifacts == NOWHERE else self.artifacts
        if before is None or before.artifacts is None:
            return None
        check_store(before.artifacts)
        return before.artifacts


@contextlib.contextmanager
def _importing_beside(study_file: Path | None) -> Iterator[None]:
    """Let samplers and pruners be found that a study file has imported from its neighbours."""
    if study_file is None:
        yield
        return
    sys.path.append(str(study_file.parent))
    try:
        yield
    finally:
        sys.path.remove(str(study_file.parent))


def _pruning_note(declared: Declaration, n_trials: int) -> str | None:
    """Return what to say of a pruner that the study file names; None if there is nothing."""
    if declared.pruner is None:
        return None
    has_folds = not isinstance(declared.folds, Holdout)  # after the first of which a pruner may still save the others
    return pruning_note(declared.pruner, declared.name, n_trials, None if has_folds else declared.epochs)


def _refuse_given(problems: list[str]) -> None:
    if problems:
        raise StudyFileError(
            "what the study file gives is no configuration of the study:\n  " + "\n  ".join(problems),
            "`baseline` gives a value to each hyperparameter that `build` and `fit` ask for with those values, and no\n"
            "others; the dicts in `enqueue` to some of them.",
            "Correct it in the study file, or leave it out.",
        )


def _refuse_part(before: StudySettings | None, name: str) -> None:
    if before is not None and before.part_of is not None:
        raise UsageError(
            f"the study {name!r} trains configurations of {before.part_of!r} again.",
            "It goes on with that study, and not as a search of its own.",
            f"autotune {'learning-curve' if name.endswith(LEARNING_CURVE) else 'finalize'} {before.part_of}",
        )
