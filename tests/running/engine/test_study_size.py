"""What a trial costs its storage does not depend on how many trials there are."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from autotune.results.summary.summary import best_trial, study_status
from autotune.running.claims.claims import Claims
from autotune.running.claims.leases import Lease
from autotune.running.claims.ownership import Owner
from autotune.running.storages.opening import open_storage, sqlite_url
from autotune.running.study.budget import Budget
from autotune.search.pruners import NoiseAwarePruner, by_folds
from autotune.search.samplers import SeededSampler, tpe

SPACE = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}


def _study(folder: Path, n_trials: int) -> optuna.Study:
    study = optuna.create_study(
        study_name="toy",
        storage=open_storage(sqlite_url(folder / "study.db")),
        sampler=SeededSampler(tpe, 0),
        pruner=by_folds(NoiseAwarePruner()),
    )
    for number in range(n_trials):
        params = {"x": number / n_trials, "y": 0.5}
        reports = {step: 1 / step for step in range(1, 6)}
        study.add_trial(
            create_trial(value=params["x"], params=params, distributions=SPACE, intermediate_values=reports)
        )
    return study


def _backend(study: optuna.Study) -> Any:
    """Return the storage behind Optuna's cache, which a `BaseStorage` does not say that it has."""
    storage: Any = study._storage
    return storage.inner._backend


def _statements(study: optuna.Study) -> list[str]:
    """Return the list to which all statements of a storage are added from now on."""
    seen: list[str] = []
    engine = _backend(study).engine

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    sqlalchemy.event.listen(engine, "before_cursor_execute", note)
    return seen


def _run_trial(claims: Claims) -> None:
    trial = claims.next_trial()
    assert trial is not None
    assert claims.configurations is not None
    for name in SPACE:
        claims.configurations.suggested(trial, partial(trial.suggest_float, name, 0, 1))
    for step in range(1, 6):
        trial.report(0.1, step)
        trial.should_prune()
    trial.study.tell(trial, 0.1)
    claims.held.release(trial.number)
    claims.census.n_finished()


def _cost(folder: Path, n_trials: int) -> list[str]:
    folder.mkdir()
    study = _study(folder, n_trials)
    owner = Owner(folder / "workers")
    lease = Lease(study._storage, study._study_id, owner.mark.parent, lease_s=3600, slots=1)
    lease.renew()
    claims = Claims(study, study._storage, owner, Budget(10 * n_trials), lease)
    claims.known._clock = lambda: 0.0  # all trials are looked at anew for each question, as if hours had passed
    _run_trial(claims)
    seen = _statements(study)
    _run_trial(claims)
    owner.close()
    return seen


def test_a_trial_costs_as_many_statements_among_200_as_among_20(tmp_path: Path) -> None:
    few, many = _cost(tmp_path / "few", 20), _cost(tmp_path / "many", 200)
    assert sum("INSERT" in statement for statement in few) >= 9  # the trial, its mark, two parameters, five reports
    assert sorted(many) == sorted(few)  # what is written behind comes between what is read


def test_status_and_best_read_no_reports_and_the_parameters_of_one_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _study(tmp_path, 40)
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"failure": "nan"}))
    fresh = optuna.load_study(study_name="toy", storage=open_storage(sqlite_url(tmp_path / "study.db")))
    read: list[list[FrozenTrial]] = []
    backend = _backend(fresh)
    read_all = backend.get_all_trials

    def noting(*args: Any, **kwargs: Any) -> list[FrozenTrial]:
        read.append(read_all(*args, **kwargs))
        return read[-1]

    monkeypatch.setattr(backend, "get_all_trials", noting)
    status, best = study_status(fresh), best_trial(fresh)
    assert (status.complete, status.failed) == (40, {"nan": 1})
    assert best is not None
    assert best.params == {"x": 0.0, "y": 0.5}
    assert [trial.number for trials in read for trial in trials] == [40]  # to see why it has failed
