"""Recovery of trials that dead parents have left RUNNING, at the start of a command."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.trial import TrialState

from autotune.errors import StoredStudyError
from autotune.running.claims import Claims, Owner
from autotune.running.planning.stored_study import study_names
from autotune.running.study import Budget, StudySettings, read_settings, understanding
from autotune.study_name import is_study_name


def recover_lost_trials(storage: optuna.storages.BaseStorage, study_file: str, folder: Callable[[str], Path]) -> None:
    """Set the trials WAITING that dead parents of any study of `study_file` have left RUNNING.

    Slots do the same before each claim. This happens before TensorFlow is imported, so that a command that is stopped
    before its first claim leaves no trial RUNNING either.

    Args:
        storage: The storage.
        study_file: The study file, absolute.
        folder: The function from a study's name to its folder.
    """
    for name in filter(is_study_name, study_names(storage)):
        with contextlib.suppress(StoredStudyError), understanding(name):  # a run does not fail because of another study
            study = optuna.load_study(study_name=name, storage=storage)
            settings = read_settings(study)
            if settings is None or settings.study_file != study_file:
                continue
            if study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                _recover(study, storage, settings, folder(name))


def _recover(study: optuna.Study, storage: optuna.storages.BaseStorage, settings: StudySettings, folder: Path) -> None:
    with contextlib.closing(Owner(folder / "workers")) as owner:
        Claims(study, storage, owner, Budget(0, max_retries=settings.max_retries)).takeover.recover()
