"""Measure data efficiency: train a search's winner on nested fractions of the training rows.

The trainings are trials of a separate study (NAME.learning-curve), so that they can be interrupted, resumed, and shared
by several parents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.data.stored import load_folds
from autotune.errors import StudyFailedError, UsageError
from autotune.results.data_efficiency.record import (
    LearningCurve,
    Measured,
    learn_from,
    read_learning_curve,
    record_learning_curve,
)
from autotune.results.final import Unfinished, check_at_least, read_result, values_of, what_is_left
from autotune.results.summary import refuse_part, settings_of, source_of, study_to_write_to
from autotune.running.engine import Machine, session
from autotune.running.planning import LEARNING_CURVE, Plan, Queue, QueuedTrial, RunOptions, key_of, plan_queue
from autotune.running.study import find_places, places_of_study
from autotune.running.tracking import Note, Observer, Tracking, ignore, last_words
from autotune.search.history import best_first
from autotune.seeds import derive_seed
from autotune.study import StudySpec

FRACTIONS = (0.1, 0.2, 0.4, 0.7, 1.0)


def learning_curve(
    study: StudySpec | str,
    *,
    fractions: Sequence[float] = FRACTIONS,
    repeats: int = 3,
    workers: int | None = None,
    timeout_s: float | None = None,
    lease_s: float = 60.0,
    storage: str | None = None,
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    gpus: str | Sequence[int | str] | None = None,
    workers_per_gpu: int | None = None,
    artifacts: str | None = None,
    observer: Observer | None = None,
    trust: bool = False,
) -> LearningCurve | Unfinished:
    """Train a study's winner on growing parts of the training rows, and predict the metric at twice the rows.

    The winner is that of `finalize`, or the best complete trial if there is none yet. It is trained for the study's own
    epochs, as in the search. The fractions of one repeat share seeds and validation rows.

    Args:
        study: The name of a study that was started from a study file, or the `StudySpec` that it was started from.
        fractions: Of the training rows, each in (0, 1]; a law takes at least 3.
        repeats: With how many seeds and splits, at least 2. What has begun goes on with those that it was begun with.
        workers: As in `autotune.run`, like all that follows.
        timeout_s: Stop after so many seconds; what was running waits, and the same call goes on.
        lease_s: When others take over.
        storage: Where the study is.
        run_dir: Where its files are.
        data_dir: Where datasets are looked for first.
        gpus: Which GPUs.
        workers_per_gpu: How many trials share one.
        artifacts: Where checkpoints are copied to.
        observer: Called with each `Event`.
        trust: Whether the study file that the storage names may be run although it has not run here before, or has
            changed since.

    Returns:
        The curve. If there was one before, that one: nothing is trained again. `Unfinished` after `timeout_s`.

    Raises:
        UsageError: If there is no such study, it has no winner or no training rows, or an argument is out of range.
        StudyFailedError: If on no fraction, or in fewer than two repeats, the winner could be trained.
        KeyboardInterrupt: If a signal came; what was running waits.
    """
    wanted = _checked(fractions)
    check_at_least("repeats", repeats, 2)
    machine = Machine(workers, gpus, workers_per_gpu, timeout_s, lease_s)
    name = study if isinstance(study, str) else study.name
    tell = observer or ignore
    places = find_places(storage, run_dir, data_dir)
    search = study_to_write_to(places, name)
    settings = settings_of(search)
    refuse_part(search, settings, "learning-curve")
    winner = _winner(search)
    if (recorded := read_learning_curve(search)) is not None:
        tell(Note(None, f"this is the recorded curve; to train anew, delete the study {name + LEARNING_CURVE!r}"))
        if recorded.params != winner.params:
            tell(Note(None, f"it is of {recorded.candidate!r}; the winner is {winner.name!r} by now"))
        return recorded
    if settings.split is None:
        raise UsageError(
            f"{name!r} is a study of a plain objective.",
            "Data efficiency is measured for Keras studies only (build, dataset, monitor), whose rows are known.",
            "Take a part of the rows in the objective.",
        )
    places = places_of_study(name, settings, places)
    queue = Queue(name + LEARNING_CURVE, _trainings(winner, wanted, repeats))
    options = RunOptions(source_of(study, settings, trust), places, Tracking(artifacts), tell)
    with session(options, machine) as here:
        plan = plan_queue(here.preparer, repeats, lambda known: queue, wanted)
        if list(plan.queued) != queue.trials:
            tell(Note(None, f"it goes on as it was begun: {_described(plan.queued)}"))
        if plan.rows and plan.rows.design.meaning:
            tell(Note(None, plan.rows.design.meaning))
        here.execute(plan)
    if unfinished := what_is_left(plan.study):
        return unfinished
    curve = _learned(search, plan)
    record_learning_curve(plan.study, curve)
    return curve


@dataclass(frozen=True)
class _Winner:
    name: str
    params: Mapping[str, Any]


def _winner(search: optuna.Study) -> _Winner:
    if (result := read_result(search)) is not None:
        final = result.confirmation.candidate(result.confirmation.winner)
        return _Winner(final.name, final.params)
    complete = search.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        raise UsageError(
            f"{search.study_name!r} has no winner: none of its trials is complete.",
            "The winner of `autotune finalize`, or else the best complete trial, is trained on more and more rows.",
            f"Search on: autotune resume {search.study_name}",
        )
    best = best_first(search, complete)[0]
    return _Winner(str(best.number), best.params)


def _trainings(winner: _Winner, fractions: Sequence[float], repeats: int) -> list[QueuedTrial]:
    """Return all trainings, repeat by repeat, with those first that take longest."""
    longest_first = sorted(fractions, reverse=True)
    return [
        QueuedTrial(winner.name, winner.params, repeat, fraction=fraction)
        for repeat in range(repeats)
        for fraction in longest_first
    ]


def _described(queued: Sequence[QueuedTrial]) -> str:
    fractions = ", ".join(f"{fraction:g}" for fraction in sorted({trial.fraction for trial in queued}))
    return f"{queued[0].candidate!r} with fractions {fractions} and {1 + max(t.repeat for t in queued)} repeats"


def _learned(search: optuna.Study, plan: Plan) -> LearningCurve:
    measured, n_failed = _measured(plan)
    candidate = plan.queued[0].candidate
    final = read_result(search)
    settings = plan.settings
    assert plan.rows is not None
    found = learn_from(
        measured,
        str(settings.monitor),
        plan.declared.direction,
        plan.rows.design,
        derive_seed(settings.seed, "learning curve"),
    )
    return LearningCurve(
        study=search.study_name,
        candidate=candidate,
        is_final=final is not None and final.confirmation.winner == candidate,
        params=plan.queued[0].params,
        monitor=str(settings.monitor),
        direction=plan.declared.direction,
        repeats=1 + max(trial.repeat for trial in plan.queued),
        n_failed=n_failed,
        **vars(found),
    )


def _measured(plan: Plan) -> tuple[list[Measured], int]:
    """Return what was measured, by increasing rows, and how many trainings have failed.

    Fractions on which nothing could be trained are left out, and then the repeats that are not whole, so that all
    fractions share their repeats. Of fractions that come to the same rows, as with few groups, one is left.
    """
    trials = plan.study.get_trials(deepcopy=False)
    complete = {key_of(trial): trial for trial in trials if trial.state == TrialState.COMPLETE}
    fractions = sorted({key.fraction for key in complete})
    by_fraction = {
        fraction: {key.repeat: trial for key, trial in complete.items() if key.fraction == fraction}
        for fraction in fractions
    }
    whole = set.intersection(*(set(repeats) for repeats in by_fraction.values())) if by_fraction else set()
    if len(whole) < 2:
        raise _too_many_failures(plan, trials)
    found: dict[float, Measured] = {}
    for fraction, repeats in by_fraction.items():
        shared = {repeat: repeats[repeat] for repeat in whole}
        n_rows = fmean(_n_rows(plan, trial) for trial in shared.values())
        found.setdefault(n_rows, Measured(fraction, n_rows, values_of(shared)))
    return [found[n_rows] for n_rows in sorted(found)], len(plan.queued) - len(complete)


def _n_rows(plan: Plan, trial: FrozenTrial) -> float:
    rows = plan.assign(trial).rows
    assert rows is not None
    return fmean(len(fold.train) for fold in load_folds(rows.folds))


def _too_many_failures(plan: Plan, trials: Sequence[FrozenTrial]) -> StudyFailedError:
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    last = (last_words(failed[-1]) if failed else "") or "nobody knows why"
    return StudyFailedError(
        f"the winner could not be trained: {len(failed)} of {len(plan.queued)} trainings have failed; the last: {last}",
        "At least two repeats have to succeed on every fraction that one of them succeeds on.",
        "Correct the study file and run the same command again, or choose larger --fractions.",
    )


def _checked(fractions: Sequence[float]) -> tuple[float, ...]:
    found = tuple(sorted(set(map(float, fractions))))
    if not found or not all(0 < fraction <= 1 for fraction in found):
        raise UsageError(
            f"fractions is {', '.join(f'{fraction:g}' for fraction in fractions) or 'empty'}.",
            "Each is a share of the training rows, larger than 0 and at most 1.",
            f"Write, for example, --fractions {','.join(f'{fraction:g}' for fraction in FRACTIONS)}.",
        )
    return found
