"""What all rooms lean on of Optuna's inside: a study's storage, ids, and what a storage holds of a trial.

Optuna's public methods do not say it, or copy a trial with all its distributions each time. Nobody else looks there,
but for `running/storages/`, which has Optuna's tables, and `search/pruners/told.py` (see docs/architecture.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.study._frozen import FrozenStudy
    from optuna.trial import FrozenTrial


def storage_of(study: optuna.Study) -> BaseStorage:
    """Return the storage that a study is kept in."""
    return study._storage


def id_of_study(study: optuna.Study | FrozenStudy) -> int:
    """Return what a storage calls a study."""
    return study._study_id


def id_of(trial: optuna.Trial | FrozenTrial) -> int:
    """Return what a storage calls a trial; its number counts from 0 in each study."""
    return trial._trial_id


def set_id(trial: FrozenTrial, trial_id: int, number: int) -> None:
    """Note what a storage calls a trial that it has just made."""
    trial._trial_id, trial.number = trial_id, number


def stored(trial: optuna.Trial) -> FrozenTrial:
    """Return what the storage holds of a trial, as it is: what `trial` itself says is a copy."""
    return trial.storage.get_trial(id_of(trial))


def system_attrs_of(study: optuna.Study) -> dict[str, Any]:
    """Return what programs have noted of a study."""
    return storage_of(study).get_study_system_attrs(id_of_study(study))


def set_system_attr(study: optuna.Study, key: str, value: Any) -> None:
    """Note something of a study."""
    storage_of(study).set_study_system_attr(id_of_study(study), key, value)
