"""Optuna's inside is as `autotune/optuna_inside.py` takes it to be: a name for each thing that may change."""

from __future__ import annotations

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial

from autotune.optuna_inside import (
    fixed_by,
    id_of,
    id_of_study,
    set_id,
    set_system_attr,
    storage_of,
    stored,
    system_attrs_of,
)

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def storage() -> InMemoryStorage:
    return InMemoryStorage()


@pytest.fixture
def study(storage: InMemoryStorage) -> optuna.Study:
    optuna.create_study(storage=storage, study_name="first")  # so that ids and numbers differ
    storage.create_new_trial(0)
    return optuna.create_study(storage=storage, study_name="toy", pruner=optuna.pruners.HyperbandPruner(1, 9))


def test_study_storage(study: optuna.Study, storage: InMemoryStorage) -> None:
    assert storage_of(study) is storage


def test_study_id(study: optuna.Study, storage: InMemoryStorage) -> None:
    assert id_of_study(study) == storage.get_study_id_from_name("toy") == 1
    assert [id_of_study(frozen) for frozen in storage.get_all_studies()] == [0, 1]


def test_storage_and_id_of_a_bracket_of_hyperband(study: optuna.Study, storage: InMemoryStorage) -> None:
    seen: list[optuna.Study] = []

    class Pruner(optuna.pruners.SuccessiveHalvingPruner):
        def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
            seen.append(study)
            return False

    trial = study.ask()
    trial.report(0.5, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optuna.pruners.SuccessiveHalvingPruner, "prune", Pruner.prune)
        assert not trial.should_prune()
    assert (storage_of(seen[0]), id_of_study(seen[0])) == (storage, 1)
    assert seen[0] is not study


def test_trial_id(study: optuna.Study, storage: InMemoryStorage) -> None:
    trial = study.ask()
    assert id_of(trial) == id_of(study.trials[0]) == storage.get_trial_id_from_study_id_trial_number(1, 0) == 1
    made = create_trial(state=TrialState.WAITING)
    set_id(made, 7, 3)
    assert (id_of(made), made.number) == (7, 3)


def test_trial_storage(study: optuna.Study, storage: InMemoryStorage) -> None:
    trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    assert stored(trial) == storage.get_trial(1)
    assert stored(trial).params == trial.params


def test_study_system_attrs(study: optuna.Study, storage: InMemoryStorage) -> None:
    set_system_attr(study, "a", [1])
    assert system_attrs_of(study) == storage.get_study_system_attrs(1) == {"a": [1]}


def test_values_that_a_sampler_fixes() -> None:
    inner = optuna.samplers.RandomSampler()
    assert fixed_by(optuna.samplers.PartialFixedSampler({"x": 0.5}, inner)) == {"x": 0.5}
    assert fixed_by(inner) == {}
