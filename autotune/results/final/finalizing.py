"""Finalize a search: confirm the best trials, refit the winner, open the test rows once.

Each of the three steps can be interrupted and resumed: the repeats and the refits are trials of separate studies
(NAME.confirm and NAME.final), and the claim to the test rows is recorded before they are read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import filelock
import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.data.splits import Design
from autotune.errors import StudyFailedError, UsageError
from autotune.results.final.confirmation import (
    BASELINE,
    Confirmation,
    candidates_to_confirm,
    confirm,
    refit_of,
    trained_again,
)
from autotune.results.final.opening import OpenTestRows, TestScores, TryModels
from autotune.results.final.parts import Unfinished, check_at_least, what_is_left
from autotune.results.final.record import FinalResult, TestScore, claim_test_rows, read_result, record_result
from autotune.results.final.statistics import estimate_on_test_rows
from autotune.results.summary import provenance, refuse_part, settings_of, source_of, study_to_write_to
from autotune.running.engine import Machine, Session, session
from autotune.running.planning import Plan, Queue, QueuedTrial, RunOptions, key_of, plan_queue, refit_noted
from autotune.running.processes import Slot
from autotune.running.study import find_places, places_of_study
from autotune.running.tracking import Note, Observer, Tracking, ignore
from autotune.running.trial import Declaration
from autotune.study import StudySpec
from autotune.training.checkpoints import trial_folder


def finalize(
    study: StudySpec | str,
    *,
    top: int = 5,
    repeats: int = 5,
    workers: int | None = None,
    timeout_s: float | None = None,
    lease_s: float = 60.0,
    storage: str | None = None,
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    gpus: str | Sequence[int | str] | None = None,
    workers_per_gpu: int | None = None,
    artifacts: str | None = None,
    tensorboard: str | Path | None = None,
    mlflow: str | None = None,
    observer: Observer | None = None,
    trust: bool = False,
) -> FinalResult | Unfinished:
    """Confirm the best trials of a study with new seeds, refit the winner on all development rows, and test it once.

    Args:
        study: The name of a study that was started from a study file, or the `StudySpec` that it was started from.
        top: Number of the best trials that are trained again, at least 1.
        repeats: Number of new seeds for each, at least 2. A started confirmation keeps its first number.
        workers: As in `autotune.run`, like all arguments below.
        timeout_s: Stop after this many seconds; running trials wait, and the same call resumes them.
        lease_s: Seconds without a sign after which other parents take over.
        storage: The URL of the storage.
        run_dir: The run dir.
        data_dir: The folder in which datasets are looked for first.
        gpus: The GPUs to use.
        workers_per_gpu: Number of trials that share a GPU.
        artifacts: The artifact store for copies of checkpoints.
        tensorboard: The folder of event files; None for the study's own.
        mlflow: The MLflow server for trials; None for the study's own.
        observer: Called with each `Event`.
        trust: Whether to run the study file that the storage names even if it has not run on this machine before, or
            has changed since.

    Returns:
        The result. If a result is recorded already, this one, and the test rows are not read again. `Unfinished` after
        `timeout_s`.

    Raises:
        UsageError: If there is no such study, nothing to confirm, or an argument is out of range.
        StudyFailedError: If no candidate succeeded, or a refit failed.
        KeyboardInterrupt: If a signal came; running trials wait.
    """
    check_at_least("top", top, 1)
    check_at_least("repeats", repeats, 2)
    machine = Machine(workers, gpus, workers_per_gpu, timeout_s, lease_s)
    name = study if isinstance(study, str) else study.name
    places = find_places(storage, run_dir, data_dir)
    search = study_to_write_to(places, name)
    settings = settings_of(search)
    tell = observer or ignore
    if settings.leaks:
        tell(Note(None, settings.leaks))
    if (result := read_result(search)) is not None:
        if result.test is not None:
            tell(Note(None, "this is the recorded result: the test rows are not opened again"))
        recorded = _Extent(_n_trials(one.name for one in result.confirmation.candidates), result.confirmation.repeats)
        there = _n_trials(trial.candidate for trial in candidates_to_confirm(search, top, 1, None))
        recorded.tell_asked(_Extent(min(top, max(there, recorded.n_trials)), repeats), "the result stays", tell)
        return result
    refuse_part(search, settings, "finalize")
    _check_has_results(search)
    places = places_of_study(name, settings, places)
    source = source_of(study, settings, trust)
    options = RunOptions(source, places, Tracking(artifacts, tensorboard, mlflow), tell)
    return _Finalization(search, options, machine, top, repeats, time.monotonic()).result()


class _Extent(NamedTuple):
    """The size of a confirmation: the number of trials and of seeds for each."""

    n_trials: int
    n_seeds: int

    def tell_asked(self, asked: _Extent, what_is: str, tell: Observer) -> None:
        """Tell the user if this stored size differs from the requested one."""
        if asked != self:
            tell(Note(None, f"{what_is} as it was begun: with {self}, and not with {asked}"))

    def __str__(self) -> str:
        return f"{self.n_trials} trial{'s' * (self.n_trials != 1)} and {self.n_seeds} seeds (--top, --repeats)"


def _extent(queued: Sequence[QueuedTrial]) -> _Extent:
    return _Extent(_n_trials(trial.candidate for trial in queued), 1 + max(trial.repeat for trial in queued))


def _n_trials(candidates: Iterable[str]) -> int:
    return len({*candidates} - {BASELINE})


@dataclass(frozen=True)
class _Finalization:
    search: optuna.Study
    options: RunOptions
    machine: Machine
    top: int
    repeats: int
    began: float

    def result(self) -> FinalResult | Unfinished:
        again = self._train(
            "confirm",
            lambda known: candidates_to_confirm(self.search, self.top, self.repeats, known.baseline, known.pruner),
        )
        if unfinished := what_is_left(again.study):
            return unfinished
        declared = again.declared
        design = again.rows.design if again.rows else Design()
        # The queued candidates count, because other parents may have added trials to the search since.
        confirmation = confirm(self.search, again.study, again.queued, design)
        if again.rows is None:  # a plain objective trains no network
            return self._recorded(again, confirmation, None, ())
        refits = self._train("final", lambda known: _refits(known, again.study, confirmation))
        if unfinished := what_is_left(refits.study):
            return unfinished
        if not declared.has_test_rows:
            return self._recorded(refits, confirmation, None, _models(refits, confirmation.winner))
        return self._tested(refits, confirmation)

    def _train(self, part: str, trials_of: Callable[[Declaration], Sequence[QueuedTrial]]) -> Plan:
        name = f"{self.search.study_name}.{part}"
        asked: list[QueuedTrial] = []

        def queue_of(known: Declaration) -> Queue:
            asked[:] = trials_of(known)
            return Queue(name, list(asked))

        with session(self.options, self._machine()) as here:
            plan = plan_queue(here.preparer, self.repeats, queue_of)
            _extent(plan.queued).tell_asked(_extent(asked), f"{name} goes on", self.options.observer)
            here.execute(plan)
        return plan

    def _tested(self, refits: Plan, confirmation: Confirmation) -> FinalResult:
        winners = _models(refits, confirmation.winner)
        baselines = _models(refits, BASELINE) if confirmation.winner != BASELINE else []
        models = [*winners, *baselines]
        chosen = [confirmation.winner] * len(winners) + [BASELINE] * len(baselines)
        params = tuple(confirmation.candidate(name).params for name in chosen)
        metric = str(refits.settings.monitor).removeprefix("val_")
        with session(self.options, self._machine()) as here:
            slot, development = _ready(here, refits)
            data_dir = Path(refits.settings.data_dir) if refits.settings.data_dir else None
            source = self.options.source
            here.preparer.ask(TryModels(source, development, tuple(models), metric, slot, params, data_dir))
            digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in models]
            with filelock.FileLock(self.options.places.study_folder(self.search.study_name) / "test-rows.lock"):
                opened = claim_test_rows(self.search, digests)
            task = OpenTestRows(source, data_dir, development, tuple(models), metric, slot, params)
            scores: TestScores = here.preparer.ask(task)
        test = _test_score(scores, len(winners), metric, refits.declared.direction, opened)
        return self._recorded(refits, confirmation, test, winners)

    def _recorded(
        self, plan: Plan, confirmation: Confirmation, test: TestScore | None, models: Sequence[Path]
    ) -> FinalResult:
        result = FinalResult(
            study=self.search.study_name,
            direction=plan.declared.direction,
            monitor=plan.declared.monitor,
            confirmation=confirmation,
            test=test,
            models=tuple(map(str, models)),
            epochs=refit_epochs(plan.study, confirmation.winner) if models else None,
            provenance=provenance(plan.settings, plan.rows, self.machine.usable_gpus()),
        )
        record_result(self.search, result)
        return result

    def _machine(self) -> Machine:
        """Return the machine with the remaining time as its timeout."""
        if self.machine.timeout_s is None:
            return self.machine
        left = self.machine.timeout_s - (time.monotonic() - self.began)
        return dataclasses.replace(self.machine, timeout_s=max(left, 0.001))


def refit_epochs(study: optuna.Study, name: str) -> int:
    """Return the number of epochs of a candidate's refits."""
    trials = study.get_trials(deepcopy=False)
    refits = (refit_noted(trial) for trial in trials if key_of(trial).candidate == name)
    return next(refit.epochs for refit in refits if refit is not None)


def _refits(searched: Declaration, again: optuna.Study, confirmation: Confirmation) -> list[QueuedTrial]:
    """Return the refits: with test rows, the winner and the baseline with every seed; otherwise the winner once."""
    names, repeats = [confirmation.winner], 1
    if searched.has_test_rows:
        names += [one.name for one in confirmation.candidates if one.name == BASELINE != confirmation.winner]
        repeats = confirmation.repeats
    return [
        QueuedTrial(name, confirmation.candidate(name).params, repeat, refit_of(again, name))
        for repeat in range(repeats)
        for name in names
    ]


def _ready(here: Session, refits: Plan) -> tuple[Slot, Path]:
    """Start the fork server with Keras; return a slot, and the folder of the development rows."""
    here.preparer.preload()
    assert refits.rows is not None
    return here.sharing.slots(refits.settings.threads)[0], refits.rows.dataset


def _test_score(scores: TestScores, n_winners: int, metric: str, direction: str, opened: str) -> TestScore:
    unmeasured = None if scores.metric == metric else metric
    sign = 1 if direction == "maximize" and unmeasured is None else -1
    values, rows = np.array(scores.values), scores.rows
    winner, baseline = slice(0, n_winners), slice(n_winners, None)
    versus = None
    if len(values) > n_winners:
        by_row = None if rows is None else sign * (rows[winner].mean(axis=0) - rows[baseline].mean(axis=0))
        versus = estimate_on_test_rows(sign * (values[winner] - values[baseline]), by_row)
    return TestScore(
        metric=scores.metric,
        n_rows=scores.n_rows,
        values=tuple(scores.values[winner]),
        estimate=estimate_on_test_rows(values[winner], None if rows is None else rows[winner].mean(axis=0)).of(
            scores.metric
        ),
        baseline=float(values[baseline].mean()) if versus else None,
        versus_baseline=versus,
        opened=opened,
        others={name: float(np.mean(found[winner])) for name, found in scores.others.items()},
        unmeasured=unmeasured,
    )


def _models(refits: Plan, name: str) -> list[Path]:
    """Return the models of a candidate's refits, by their seeds."""
    trials = [trial for _, trial in sorted(trained_again(refits.study)[name].items())]
    for trial in trials:
        _check_refit(refits, trial)
    return [trial_folder(refits.folder, trial.number).kept_model for trial in trials]


def _check_refit(refits: Plan, trial: FrozenTrial) -> None:
    folder = trial_folder(refits.folder, trial.number)
    if trial.state != TrialState.COMPLETE:
        raise StudyFailedError(
            f"a refit on all development rows has failed: trial {trial.number} of {refits.study.study_name!r}, with "
            f"the reason {trial.user_attrs.get('failure', 'error')!r}.",
            f"Its output is in {folder.log}",
            "The test rows have not been read. Continue the search, and finalize with another winner.",
        )
    if not folder.kept_model.exists():
        raise UsageError(
            f"the model {folder.model} is not there.",
            "It is on the machine of the refit, or it could not be saved; then the trial's log says so.",
            "Finalize on a machine that shares the run dir, or read the log next to it.",
        )


def _check_has_results(search: optuna.Study) -> None:
    if not search.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise UsageError(
            f"there is nothing to confirm in {search.study_name!r}: none of its trials is complete.",
            "The best complete trials are trained again, with new seeds.",
            f"Continue the search: autotune resume {search.study_name}",
        )
