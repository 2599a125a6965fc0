"""The status of a study: number of trials, best trial, speed, remaining time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.errors import UsageError
from autotune.optuna_inside import id_of, id_of_study, storage_of
from autotune.parsing import parsed_or_none
from autotune.running.claims import is_foreign, is_tried_again, mark_of, parents_at_work
from autotune.running.planning import read_learning
from autotune.running.storages import PatientStorage, open_existing_storage, open_to_look, saved_storage
from autotune.running.study import WHY_OVER, Places, StudySettings, folder_to_look_at, read_settings
from autotune.running.tracking import failure_reason, last_words, mean_seconds
from autotune.search.history import best_complete, best_first, first_value
from autotune.search.transfer import TakenOver, taken_over
from autotune.study_name import check_name
from autotune.training.checkpoints import trial_folder
from autotune.training.records import best_epoch

_MOST_ENQUEUED = 50  # trials that a study file may enqueue before those of earlier studies


@dataclass(frozen=True)
class BestTrial:
    """The best complete trial of a study.

    Attributes:
        study: The study's name.
        trial: The trial's number.
        value: Its value; the first one if there are several objectives.
        costs: Its values of the other objectives, by their names.
        monitor: The metric; None for a plain objective.
        direction: "maximize" or "minimize".
        epoch: The epoch that counts, from 1; one for each fold if there are several; None for a plain objective.
        params: Its hyperparameters.
        seed: The study's seed.
        model: The path of its model; None if none was kept.
    """

    study: str
    trial: int
    value: float
    costs: dict[str, float]
    monitor: str | None
    direction: str
    epoch: int | list[int] | None
    params: dict[str, Any]
    seed: int | None
    model: str | None


@dataclass(frozen=True)
class StudyStatus:
    """The status of a study.

    Attributes:
        study: Its name.
        n_trials: The number of finished trials at which it ends; None if this package never ran it.
        complete: Number of trials that ran to their end.
        pruned: Number of trials that the pruner stopped.
        failed: Number of failed trials, by reason.
        last_failure: The reason of the newest failure, in a line; None if no trial failed.
        running: Number of running trials.
        waiting: Number of interrupted or queued trials.
        best: The best trial; None if none is complete.
        trials_per_hour: Speed of the slots that run now; None if no trial runs or none is finished.
        seconds_left: Time to the last trial at that speed; None if no parent runs the study.
        workers: Number of living parents, on any machine, that run trials of this study now.
        why_over: Why it ended before its last trial; None if it did not.
        tried_again: Number of waiting trials that will be retried after an error.
        taken_over: The trials that began with configurations of earlier studies.
    """

    study: str
    n_trials: int | None
    complete: int
    pruned: int
    failed: dict[str, int]
    last_failure: str | None
    running: int
    waiting: int
    best: BestTrial | None
    trials_per_hour: float | None
    seconds_left: float | None
    workers: int
    why_over: str | None
    tried_again: int = 0
    taken_over: tuple[TakenOver, ...] = ()


def best_trial(study: optuna.Study, places: Places | None = None) -> BestTrial | None:
    """Return the best complete trial of `study`, by the first objective if there are several; None if there is none.

    Args:
        study: The study.
        places: The places that the user named; None for those where the study has run.
    """
    return _best_of(_Looked.at(study, places), outlines(study))


@dataclass(frozen=True)
class _Looked:
    """A study, its stored settings, and its folder if it is known."""

    study: optuna.Study
    settings: StudySettings | None
    folder: Path | None

    @staticmethod
    def at(study: optuna.Study, places: Places | None) -> _Looked:
        settings = read_settings(study)
        return _Looked(study, settings, folder_to_look_at(study.study_name, settings, places))


def _best_of(looked: _Looked, trials: Sequence[FrozenTrial]) -> BestTrial | None:
    """Return the best of trials that were read with states and values only."""
    study = looked.study
    if len(study.directions) > 1:
        ranked = best_first(study, best_complete(study))
    else:
        ranked = best_first(study, [trial for trial in trials if trial.state == TrialState.COMPLETE])
    return _described(looked, storage_of(study).get_trial(id_of(ranked[0]))) if ranked else None


def pareto_front(study: optuna.Study, places: Places | None = None) -> list[BestTrial]:
    """Return the trials of the Pareto front, the best by the first objective first; empty with a single objective.

    Args:
        study: The study.
        places: As in `best_trial`.
    """
    if len(study.directions) == 1:
        return []
    looked = _Looked.at(study, places)
    return [_described(looked, trial) for trial in best_first(study, best_complete(study))]


def study_status(study: optuna.Study, places: Places | None = None) -> StudyStatus:
    """Count a study's trials and measure its speed.

    Args:
        study: The study.
        places: As in `best_trial`.
    """
    looked = _Looked.at(study, places)
    trials = outlines(study)
    states = Counter(trial.state for trial in trials)
    failed = trials_in(study, TrialState.FAIL)
    settings = looked.settings
    finished = states[TrialState.COMPLETE] + states[TrialState.PRUNED]
    running = trials_in(study, TrialState.RUNNING)
    living = parents_at_work(study, running, looked.folder) if settings else set()
    speed = _trials_per_second(trials, sum(is_foreign(t) or _parent_of(t) in living for t in running))
    left = settings.n_trials - finished if settings else 0
    return StudyStatus(
        study=study.study_name,
        n_trials=settings.n_trials if settings else None,
        complete=states[TrialState.COMPLETE],
        pruned=states[TrialState.PRUNED],
        failed=dict(Counter(map(failure_reason, failed))),
        last_failure=f"trial {failed[-1].number}: {last_words(failed[-1])}" if failed else None,
        running=states[TrialState.RUNNING],
        waiting=states[TrialState.WAITING],
        best=_best_of(looked, trials),
        trials_per_hour=speed * 3600 if speed else None,
        seconds_left=max(0, left) / speed if speed else None,
        workers=len(living),
        why_over=parsed_or_none(str, study.user_attrs.get(WHY_OVER)),
        tried_again=sum(map(is_tried_again, trials_in(study, TrialState.WAITING))),
        taken_over=_taken_over(study, trials),
    )


def _taken_over(study: optuna.Study, outlined: Sequence[FrozenTrial]) -> tuple[TakenOver, ...]:
    """Return the trials with configurations of earlier studies: of these few only, whole trials are read."""
    if (learning := read_learning(study)) is None:
        return ()
    first = outlined[: len(learning.origins) + _MOST_ENQUEUED]
    return tuple(taken_over(storage_of(study).get_trial(id_of(trial)) for trial in first))


def outlines(study: optuna.Study) -> list[FrozenTrial]:
    """Return all trials with at least their states, times and values."""
    storage = storage_of(study)
    if isinstance(storage, PatientStorage):
        return storage.outlines(id_of_study(study))
    return study.get_trials(deepcopy=False)


def trials_in(study: optuna.Study, state: TrialState) -> list[FrozenTrial]:
    """Return the trials in a state, without reading the others if the storage can do this."""
    storage = storage_of(study)
    if isinstance(storage, PatientStorage):
        return storage.trials_in(id_of_study(study), (state,))
    return study.get_trials(deepcopy=False, states=(state,))


def stored_study(places: Places, name: str) -> optuna.Study:
    """Return the study of that name, read-only.

    Raises:
        UsageError: If the study or the storage does not exist.
    """
    check_name(name)
    return _study_in(open_to_look(places.storage), places, name)


def study_to_write_to(places: Places, name: str) -> optuna.Study:
    """Return the study of that name, for reading and writing; no storage is created.

    Raises:
        UsageError: If the study or the storage does not exist.
    """
    check_name(name)
    return _study_in(open_existing_storage(places.storage), places, name)


def _study_in(storage: optuna.storages.BaseStorage | None, places: Places, name: str) -> optuna.Study:
    if storage is None:
        raise nothing_there(places)
    return require_study(storage, name)


def nothing_there(places: Places) -> UsageError:
    """Return the error for a storage that does not exist."""
    saved = saved_storage(places.storage)
    return UsageError(
        f"there are no studies: {places.shown_storage()} does not exist.",
        f"A lost storage was saved as {saved}" if saved else "Studies are in the storage they were run with.",
        "Point --storage or --run-dir (OPTUNA_STORAGE, AUTOTUNE_RUN_DIR) to it, or start one: autotune run STUDY_FILE",
    )


def nothing_complete(name: str) -> UsageError:
    """Return the error for a study in which no trial is complete."""
    return UsageError(
        f"no trial of {name!r} is complete yet.",
        "The best trial is chosen among complete ones.",
        f"See the progress of the study: autotune status {name}",
    )


def require_study(storage: optuna.storages.BaseStorage, name: str) -> optuna.Study:
    """Return the study of that name.

    Raises:
        UsageError: If there is none, or no study can have that name; the message lists those there are.
    """
    check_name(name)
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        raise unknown_study(name, optuna.get_all_study_names(storage)) from None


def unknown_study(name: str, there: list[str]) -> UsageError:
    """Return the error for a name that no study has."""
    return UsageError(
        f"there is no study named {name!r}.",
        f"Studies in this storage: {', '.join(there) or 'none'}.",
        "Correct the name, or point --storage or --run-dir (OPTUNA_STORAGE, AUTOTUNE_RUN_DIR) to the study's storage.",
    )


def _cost_names(study: optuna.Study, settings: StudySettings | None) -> list[str]:
    known = settings.minimize if settings else []
    return known or [f"value_{number}" for number in range(1, len(study.directions))]


def _described(looked: _Looked, best: FrozenTrial) -> BestTrial:
    study, settings = looked.study, looked.settings
    return BestTrial(
        study=study.study_name,
        trial=best.number,
        value=first_value(best) or 0.0,
        costs=dict(zip(_cost_names(study, settings), (best.values or [])[1:], strict=False)),
        monitor=settings.monitor if settings else None,
        direction=study.directions[0].name.lower(),
        epoch=best_epoch(best),
        params=best.params,
        seed=settings.seed if settings else None,
        model=_model_path(looked.folder, best),
    )


def _parent_of(trial: FrozenTrial) -> str | None:
    mark = mark_of(trial)
    return mark.parent if mark else None


def _trials_per_second(trials: list[FrozenTrial], running: int) -> float | None:
    """Divide the number of trials that living parents run by the mean time of the finished trials."""
    mean_s = mean_seconds(trials)
    return running / max(mean_s, 1e-3) if running and mean_s is not None else None


def _model_path(folder: Path | None, trial: FrozenTrial) -> str | None:
    if folder is None:
        return None
    path = trial_folder(folder, trial.number).kept_model
    return str(path) if path.is_file() else None
