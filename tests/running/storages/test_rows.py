"""Trials as they are read from the tables: those that Optuna reads, and only what was asked for."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from autotune.running.storages import rows as stored_trials
from autotune.running.storages.opening import open_storage, sqlite_url
from autotune.running.storages.quick import QuickStorage
from autotune.running.storages.rows import read_trials


@pytest.fixture(params=[500, 1], ids=["few", "many"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the URL of a storage with two studies, read in the way of few trials or of many."""
    monkeypatch.setattr(stored_trials, "_FEW", request.param)
    url = sqlite_url(tmp_path / "study.db")
    storage = open_storage(url)
    for name in ("one", "two"):
        study = optuna.create_study(storage=storage, study_name=name, directions=["minimize", "maximize"])
        study.add_trials([_trial(number) for number in range(4)])
        study.enqueue_trial({"x": 0.25})
        running = study.ask()
        running.suggest_float("x", 0, 1)
        study.ask().suggest_categorical("c", ["a", None, 2])
    return url


def _trial(number: int) -> FrozenTrial:
    distributions = {"x": FloatDistribution(0, 1), "c": CategoricalDistribution(["a", None, 2])}
    trial = create_trial(
        values=[-math.inf, float(number)],
        params={"x": number / 4, "c": None},
        distributions=distributions,
        intermediate_values={2: math.nan, 1: math.inf, 3: 0.5},
        user_attrs={"note": {"a": [1]}},
        system_attrs={"mark": None},
    )
    if number == 3:
        trial.state, trial.values = TrialState.FAIL, None
    return trial


def _backend(url: str) -> QuickStorage:
    # The storage of a database is Optuna's cache in front of ours, which a `BaseStorage` does not say.
    backend: QuickStorage = open_storage(url).inner._backend  # type: ignore[attr-defined]  # reason: as said above
    return backend


def test_trials_are_those_that_optuna_reads(url: str) -> None:
    for study_id in (1, 2):
        ours, optunas = (str(s.get_all_trials(study_id)) for s in (_backend(url), RDBStorage(url)))  # NaN is not NaN
        assert ours == optunas
        assert ours.count("FrozenTrial") == 6


def test_only_trials_that_were_asked_for_are_read(url: str) -> None:
    backend = _backend(url)
    first = backend.get_all_trials(2)[0]._trial_id
    with backend.reading() as connection:
        later = read_trials(connection, 2, included_ids={first, first + 4, 10**6}, after_id=first + 3)
        failed = read_trials(connection, 2, states=(TrialState.FAIL,))
    assert [trial._trial_id - first for trial in later] == [0, 4, 5]
    assert [trial.number for trial in failed] == [3]


def test_outlines_have_states_times_and_values_only(url: str) -> None:
    backend = _backend(url)
    for outline, trial in zip(backend.outlines(2), backend.get_all_trials(2), strict=True):
        assert (outline.number, outline.state, outline.values) == (trial.number, trial.state, trial.values)
        assert (outline.datetime_start, outline.duration) == (trial.datetime_start, trial.duration)
        left_out = (outline.params, outline.intermediate_values, outline.user_attrs, outline.system_attrs)
        assert left_out == ({}, {}, {}, {})
