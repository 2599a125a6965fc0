"""Access to Optuna's private attributes: a study's storage, ids, system attributes, trials without copies.

Optuna has no public methods for these, or its methods copy a trial with all its distributions each time. Besides this
module only `running/storages/` (Optuna's tables) and `search/pruners/optuna_settings.py` read private attributes of
Optuna (see docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.study._frozen import FrozenStudy
    from optuna.trial import FrozenTrial


def storage_of(study: optuna.Study) -> BaseStorage:
    """Return the storage of a study."""
    return study._storage


def id_of_study(study: optuna.Study | FrozenStudy) -> int:
    """Return the id of a study in its storage."""
    return study._study_id


def id_of(trial: optuna.Trial | FrozenTrial) -> int:
    """Return the id of a trial in its storage; its number, in contrast, counts from 0 in each study."""
    return trial._trial_id


def set_id(trial: FrozenTrial, trial_id: int, number: int) -> None:
    """Set the id and the number of a trial that a storage has just created."""
    trial._trial_id, trial.number = trial_id, number


def stored(trial: optuna.Trial) -> FrozenTrial:
    """Return the stored record of a trial without a copy; the attributes of `trial` itself are copies."""
    return trial.storage.get_trial(id_of(trial))


def system_attrs_of(study: optuna.Study) -> dict[str, Any]:
    """Return the system attributes of a study."""
    return storage_of(study).get_study_system_attrs(id_of_study(study))


def set_system_attr(study: optuna.Study, key: str, value: Any) -> None:
    """Set a system attribute of a study."""
    storage_of(study).set_study_system_attr(id_of_study(study), key, value)


def fixed_by(sampler: BaseSampler) -> Mapping[str, Any]:
    """Return the parameters that a `PartialFixedSampler` fixes; none for other samplers."""
    fixed = getattr(sampler, "_fixed_params", None)
    return fixed if isinstance(fixed, Mapping) else {}
