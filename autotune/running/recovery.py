"""What dead parents have left, put back before anything else is done."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.trial import TrialState

from autotune.running.budget import Budget
from autotune.running.claims import Claims
from autotune.running.ownership import Owner
from autotune.running.settings import ATTRIBUTE, read_settings


def recover_lost_trials(storage: optuna.storages.BaseStorage, study_file: str, folder: Callable[[str], Path]) -> None:
    """Have the trials wait that dead parents of any study of `study_file` have left RUNNING.

    Slots do the same before each claim; here it is done while TensorFlow is still to be imported, so that a command
    that is stopped before its first claim leaves nothing RUNNING either.

    Args:
        storage: The storage.
        study_file: The study file, absolute.
        folder: From a study's name to its folder.
    """
    for record in storage.get_all_studies():
        if record.user_attrs.get(ATTRIBUTE, {}).get("study_file") != study_file:
            continue
        study = optuna.load_study(study_name=record.study_name, storage=storage)
        settings = read_settings(study)
        if settings is None or not study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            continue
        with contextlib.closing(Owner(folder(record.study_name) / "workers")) as owner:
            Claims(study, storage, owner, Budget(0, max_retries=settings.max_retries)).recover()
