"""A study with as many trials as one likes, as a run of a Keras study would have left them, made within seconds.

The rows go into Optuna's tables by the thousand: one by one through its objects 10,000 trials take a quarter of an
hour. Parameters, curves, attributes, marks of the parent and names of artifacts are as real trials have them; the
artifacts themselves are not there. Accuracy depends on the learning rate and the dropout, and on nothing else.
"""

from __future__ import annotations

import datetime
import json
import math
import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.storages._rdb import models
from optuna.trial import TrialState

from autotune.running.claims import Mark
from autotune.running.planning import open_study
from autotune.running.storages import PatientStorage
from autotune.running.study import StudySettings, write_settings
from autotune.running.trial import Declaration
from autotune.study import Overrides

NAME = "large"
SPACE: Mapping[str, BaseDistribution] = {
    "blocks": IntDistribution(1, 3),
    "filters": CategoricalDistribution([16, 32, 48]),
    "kernel_size": CategoricalDistribution([3, 5]),
    "dense_units": IntDistribution(32, 128, step=32),
    "dropout": FloatDistribution(0.0, 0.5),
    "l2": FloatDistribution(1e-6, 1e-2, log=True),
    "optimizer": CategoricalDistribution(["adam", "sgd"]),
    "adam_learning_rate": FloatDistribution(3e-4, 1e-2, log=True),
    "sgd_learning_rate": FloatDistribution(1e-2, 3e-1, log=True),
    "sgd_momentum": FloatDistribution(0.0, 0.95),
    "batch_size": CategoricalDistribution([32, 64, 128]),
}
"""The space of studies/digits_cnn.py."""
_AT_ONCE = 1000  # trials
_PRUNED, _FAILED = 0.4, 0.02  # shares
_TABLES: Mapping[str, Any] = {
    "params": models.TrialParamModel.__table__,
    "values": models.TrialValueModel.__table__,
    "reports": models.TrialIntermediateValueModel.__table__,
    "user": models.TrialUserAttributeModel.__table__,
    "system": models.TrialSystemAttributeModel.__table__,
}
_Rows = dict[str, list[dict[str, Any]]]


def declaration(n_trials: int, n_reports: int) -> Declaration:
    """Return what the study file of the study would say."""
    return Declaration(
        name=NAME,
        direction="maximize",
        minimize=(),
        monitor="val_accuracy",
        epochs=n_reports,
        epoch_policy="best",
        n_trials=n_trials,
        seed=0,
        sampler=None,
        pruner=None,
        keep_models=3,
        max_failures_in_a_row=5,
        count_failed=False,
        max_retries=2,
        retry_errors=0,
        trial_timeout_s=None,
        stop=None,
        train_fraction=1.0,
        epochs_per_pass=1,
        devices_per_trial=1,
        baseline=None,
        enqueue=(),
        guesses=(),
        guesses_baseline=False,
        guesses_usual=False,
        learn_from=(),
        has_test_rows=True,
        needs_keras=True,
    )


def fill(storage: PatientStorage, run_dir: Path, n_trials: int, n_reports: int) -> optuna.Study:
    """Make the study, with its sampler and pruner, and its trials in a storage on a database.

    Args:
        storage: An SQLite file or PostgreSQL, opened by `open_storage`.
        run_dir: Where its files would be.
        n_trials: How many trials it has; so many again are still to come.
        n_reports: The epochs of a trial that is not stopped.
    """
    study = open_study(storage, declaration(2 * n_trials, n_reports))
    write_settings(study, _settings(run_dir, 2 * n_trials, n_reports))
    engine = storage.inner._backend.engine  # type: ignore[attr-defined]  # reason: of Optuna's cached storage
    chance = random.Random(0)
    for first in range(0, n_trials, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, n_trials))
        with engine.begin() as connection:
            _insert(connection, study._study_id, numbers, n_reports, chance)
    return study


def draw(chance: random.Random) -> dict[str, Any]:
    """Draw a configuration."""
    params = {name: _drawn(distribution, chance) for name, distribution in SPACE.items()}
    other = "sgd" if params["optimizer"] == "adam" else "adam"
    return {name: value for name, value in params.items() if not name.startswith(f"{other}_")}


def curve(params: Mapping[str, Any], n_reports: int, chance: random.Random) -> list[float]:
    """Return the accuracy of a configuration after each epoch."""
    adam, sgd = params.get("adam_learning_rate"), params.get("sgd_learning_rate")
    off = math.log10(adam / 2e-3) if adam else math.log10(sgd / 8e-2)
    best = 0.98 - 0.1 * off**2 - 0.1 * (params["dropout"] - 0.2) ** 2 + chance.gauss(0, 0.005)
    return [best - 0.6 / epoch + chance.gauss(0, 0.003) for epoch in range(1, n_reports + 1)]


def _insert(
    connection: sqlalchemy.Connection, study_id: int, numbers: range, n_reports: int, chance: random.Random
) -> None:
    trials = models.TrialModel.__table__
    drawn = [_state(chance) for _ in numbers]
    began = datetime.datetime(2026, 1, 1)
    minutes = [began + datetime.timedelta(minutes=number) for number in numbers]
    begun = [
        {
            "study_id": study_id,
            "number": number,
            "state": state,
            "datetime_start": minute,
            "datetime_complete": minute + datetime.timedelta(seconds=50),
        }
        for number, state, minute in zip(numbers, drawn, minutes, strict=True)
    ]
    connection.execute(sqlalchemy.insert(trials), begun)
    known = sqlalchemy.select(trials.c.trial_id).where(trials.c.study_id == study_id, trials.c.number >= numbers.start)
    ids = connection.execute(known.order_by(trials.c.number)).scalars()
    rows: _Rows = {name: [] for name in _TABLES}
    for trial_id, state in zip(ids, drawn, strict=True):
        for table, row in _rows_of(state, n_reports, chance):
            rows[table].append({"trial_id": trial_id, **row})
    for name, table in _TABLES.items():
        connection.execute(sqlalchemy.insert(table), rows[name])


def _rows_of(state: TrialState, n_reports: int, chance: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    params = draw(chance)
    n_epochs = n_reports if state == TrialState.COMPLETE else chance.randint(min(4, n_reports), n_reports)
    values = curve(params, n_epochs, chance)
    for name, value in params.items():
        internal = SPACE[name].to_internal_repr(value)
        distribution = distribution_to_json(SPACE[name])
        yield "params", {"param_name": name, "param_value": internal, "distribution_json": distribution}
    for step, value in enumerate(values, start=1):
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        yield "reports", {"step": step, "intermediate_value": stored, "intermediate_value_type": kind}
    if state != TrialState.FAIL:
        stored, kind = models.TrialValueModel.value_to_stored_repr(
            max(values) if state == TrialState.COMPLETE else values[-1]
        )
        yield "values", {"objective": 0, "value": stored, "value_type": kind}
    for key, attribute in _user_attributes(state, values, chance).items():
        yield "user", {"key": key, "value_json": json.dumps(attribute)}
    for key, attribute in _system_attributes(state).items():
        yield "system", {"key": key, "value_json": json.dumps(attribute)}


def _user_attributes(state: TrialState, values: list[float], chance: random.Random) -> dict[str, Any]:
    if state == TrialState.FAIL:
        return {"failure": "nan", "failure_message": "val_accuracy is nan after epoch 7."}
    fit = 45 + chance.random()
    best = values.index(max(values)) + 1
    return {"best_epoch": best, "fit_seconds": fit, "n_parameters": 180_202, "process_seconds": fit + 2.5}


def _system_attributes(state: TrialState) -> dict[str, Any]:
    mark = Mark(
        "machine-4711-0a1b2c3d", "7c9e6679-7425-40de-944b-e07fc1f90ae7/64769/1234567", "machine-4711-0a1b2c3d.lock"
    )
    names = ("history.json", "log.txt") if state == TrialState.FAIL else ("curves.png", "history.json")
    return {"autotune:owner": asdict(mark), **dict(map(_artifact, names))}


def _artifact(name: str) -> tuple[str, str]:
    artifact_id = str(uuid.uuid4())
    mime_type = "image/png" if name.endswith("png") else "application/json"
    return f"artifacts:{artifact_id}", json.dumps(
        {"artifact_id": artifact_id, "filename": name, "mimetype": mime_type, "encoding": None}
    )


def _state(chance: random.Random) -> TrialState:
    drawn = chance.random()
    if drawn < _FAILED:
        return TrialState.FAIL
    return TrialState.PRUNED if drawn < _FAILED + _PRUNED else TrialState.COMPLETE


def _drawn(distribution: Any, chance: random.Random) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return chance.choice(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return chance.randrange(distribution.low, distribution.high + 1, distribution.step)
    if distribution.log:
        return math.exp(chance.uniform(math.log(distribution.low), math.log(distribution.high)))
    return chance.uniform(distribution.low, distribution.high)


def _settings(run_dir: Path, n_trials: int, n_reports: int) -> StudySettings:
    return StudySettings(
        study_file=str(run_dir / "large.py"),
        n_trials=n_trials,
        n_trials_given=False,
        overrides=Overrides(),
        seed=0,
        epochs=n_reports,
        monitor="val_accuracy",
        epoch_policy="best",
        split="none",
        threads=1,
        data_dir=None,
        run_dir=str(run_dir),
        question="How large may a study be?",
        data="none",
    )
