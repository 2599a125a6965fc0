"""The study in its storage: found, opened, compared with the declaration, and its total kept right."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path

import filelock
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from autotune.errors import UsageError
from autotune.optuna_inside import id_of, set_system_attr, storage_of, system_attrs_of
from autotune.running.claims import is_ours, slots_at_work
from autotune.running.storages import PatientStorage
from autotune.running.study import FINISHED, KnownSpace, StudySettings, read_settings, refuse, write_settings
from autotune.running.trial import Declaration, PastTrial
from autotune.search.pruners import NoiseAwarePruner, by_folds
from autotune.search.samplers import SeededSampler, tpe
from autotune.search.transfer import Guess
from autotune.study import Direction

_MAX_REPLAYS = 8
_PATIENCE_S = 3.0  # for another parent that starts the study at the same time; it needs hundredths of a second


def find_study(storage: optuna.storages.BaseStorage, name: str) -> optuna.Study | None:
    """Return the study of that name, or None."""
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        return None


def study_names(storage: optuna.storages.BaseStorage) -> list[str]:
    """Return the names of all studies in a storage, if possible also of those that cannot be read."""
    if isinstance(storage, PatientStorage):
        return storage.study_names()
    return [study.study_name for study in storage.get_all_studies()]


def open_study(storage: optuna.storages.BaseStorage, declared: Declaration) -> optuna.Study:
    """Create or load the study, with the declared sampler, pruner and names of objectives."""
    study = optuna.create_study(
        storage=storage,
        study_name=declared.name,
        directions=_directions(declared),
        load_if_exists=True,
        sampler=seeded(declared, declared.seed),
        pruner=by_folds(declared.pruner or NoiseAwarePruner()),
    )
    names = [declared.monitor or "value", *declared.minimize]
    if len(names) == 1:
        _name_on_dashboard(study, names)
    elif study.metric_names != names and len(study.directions) == len(names):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # from Optuna, about its own method
            study.set_metric_names(names)
    return study


def seeded(declared: Declaration, seed: int, guesses: Sequence[Guess] = ()) -> SeededSampler:
    """Return the declared sampler with a seed and with guesses that it leans towards."""
    return SeededSampler(declared.sampler or tpe, seed, guesses)


def _name_on_dashboard(study: optuna.Study, names: list[str]) -> None:
    """Name a single objective for optuna-dashboard only, because Optuna's own name would change its tables."""
    key = "dashboard:objective_names"
    if system_attrs_of(study).get(key) != names:
        set_system_attr(study, key, names)


def has_results(study: optuna.Study) -> bool:
    """Tell whether a trial of the study has a report or is complete or pruned."""
    trials = study.get_trials(deepcopy=False)
    return any(t.state in FINISHED or t.intermediate_values for t in trials)


def forget_unbegun(study: optuna.Study) -> None:
    """Delete a study without any report or running trial, so that a corrected study file can start it again."""
    trials = study.get_trials(deepcopy=False)
    if all(t.state in (TrialState.WAITING, TrialState.FAIL) and not t.intermediate_values for t in trials):
        optuna.delete_study(study_name=study.study_name, storage=storage_of(study))


def forget_refused(study: optuna.Study, before: StudySettings, n_before: int) -> None:
    """Undo the changes of a run that was refused because its first trials had another search space.

    Args:
        study: The study.
        before: Its settings before the run.
        n_before: The number of its trials before the run.
    """
    write_settings(study, before)
    for trial in study.get_trials(deepcopy=False)[n_before:]:
        if trial.state == TrialState.WAITING and is_ours(trial) and not trial.intermediate_values:
            storage_of(study).set_trial_user_attr(id_of(trial), "failure", "refused")
            storage_of(study).set_trial_state_values(id_of(trial), TrialState.FAIL)


def remember(study: optuna.Study, folder: Path, settings: StudySettings, before: StudySettings | None) -> StudySettings:
    """Store the settings of a run that starts, and return them. Of several that start at once, the first decides.

    Args:
        study: The study.
        folder: Its folder in the run dir.
        settings: The settings of the run.
        before: The stored settings when the run started.

    Raises:
        UsageError: If other parents run the study now with a larger total.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(filelock.Timeout):  # the parent that holds it waits for its storage, or was stopped
            stack.enter_context(filelock.FileLock(folder / "settings.lock").acquire(timeout=_PATIENCE_S))
        stored = read_settings(study)
        if before is None and stored is not None:  # another parent has started it at the same time
            settings = dataclasses.replace(settings, threads=stored.threads, token=stored.token, usual=stored.usual)
        settings = with_total(study, folder, settings, before, stored)
        write_settings(study, settings)
    return settings


def raise_total(study: optuna.Study, n_trials: int) -> None:
    """Store the larger total again, after a run that started on another machine at the same time has lowered it."""
    stored = read_settings(study)
    total = max(n_trials, len(study.get_trials(deepcopy=False, states=FINISHED)))
    if stored is not None and stored.n_trials < total:
        write_settings(study, dataclasses.replace(stored, n_trials=total))


def with_total(
    study: optuna.Study,
    folder: Path,
    settings: StudySettings,
    before: StudySettings | None,
    stored: StudySettings | None,
) -> StudySettings:
    """Return the settings of a run with a total that is not smaller than the number of finished trials.

    Args:
        study: The study.
        folder: Its folder in the run dir.
        settings: The settings of the run.
        before: The stored settings when the run started.
        stored: The stored settings now.

    Raises:
        UsageError: If other parents run the study now with a larger total.
    """
    trials = study.get_trials(deepcopy=False)
    total = stored.n_trials if stored else 0
    if settings.n_trials < total and (stored != before or slots_at_work(study, trials, folder) > 0):
        raise UsageError(
            f"{study.study_name!r} is being run to {total} finished trials, and this command asks for "
            f"{settings.n_trials}.",
            "The total is one number for all who run a study at the same time. It can be raised meanwhile, but not "
            "lowered.",
            "Leave --trials out to join the others, or stop them first.",
        )
    n_finished = sum(trial.state in FINISHED for trial in trials)
    return dataclasses.replace(settings, n_trials=max(settings.n_trials, n_finished))


def past_trials(study: optuna.Study) -> list[PastTrial]:
    """Return the newest trial for each set of parameters: one for each branch of a conditional space.

    Finished trials come last, because a failed trial may lack parameters.
    """
    trials = [t for t in study.get_trials(deepcopy=False) if t.params]
    newest = {
        (t.state in FINISHED, frozenset(t.params)): PastTrial(t.number, t.params, t.distributions, t.state in FINISHED)
        for t in trials
    }
    return sorted(newest.values(), key=lambda past: (past.is_finished, past.number))[-_MAX_REPLAYS:]


def known_space(study: optuna.Study) -> KnownSpace | None:
    """Return the search space of the finished trials; None if there are none."""
    finished = study.get_trials(deepcopy=False, states=FINISHED)
    if not finished:
        return None
    distributions: dict[str, BaseDistribution | None] = {}
    for trial in finished:
        for name, distribution in trial.distributions.items():
            if distributions.setdefault(name, distribution) != distribution:
                distributions[name] = None
    return KnownSpace(distributions, frozenset.intersection(*(frozenset(t.params) for t in finished)))


def refuse_direction(study: optuna.Study, declared: Declaration) -> None:
    """Refuse a study whose directions of optimization have changed.

    Raises:
        StudyChangedError: If a direction differs from the stored one, or their number does.
    """
    before = [direction.name.lower() for direction in study.directions]
    now = _directions(declared)
    if before != now:
        was, is_now = (", ".join(map(repr, those)) for those in (before, now))
        refuse(declared.name, [f"direction: was {was}, is now {is_now}"])


def _directions(declared: Declaration) -> list[Direction]:
    others: list[Direction] = ["minimize"] * len(declared.minimize)
    return [declared.direction, *others]
