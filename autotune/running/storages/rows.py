"""The trials of a study, read from the tables of Optuna's databases.

Optuna creates an object for every row: 400,000 for 10,000 trials with 20 reports. Here rows are read as tuples, and
equal distributions share one object: 1.7 s in place of 21 (scripts/benchmark_shortcuts.py says how it was measured).
"""

from __future__ import annotations

import datetime
import functools
import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from autotune.optuna_inside import id_of
from autotune.parsing import NotUnderstoodError
from autotune.running.storages.tables import PARAMS, REPORTS, SYSTEM_ATTRS, TRIALS, USER_ATTRS, VALUES, local

_FEW = 500  # up to so many trials a statement names each one, which is faster than reading all trials
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}
_FINITE = "FINITE"


def read_trials(
    connection: sqlalchemy.Connection,
    study_id: int,
    states: Collection[TrialState] | None = None,
    included_ids: Collection[int] = (),
    after_id: int = -1,
) -> list[FrozenTrial]:
    """Return trials of a study, ordered by their ids.

    Args:
        connection: A connection to the database, in a transaction.
        study_id: The study's id.
        states: The states of the trials; None for all.
        included_ids: Trials to read although their ids are not larger than `after_id`.
        after_id: Other trials are read only if their ids are larger.
    """
    trials = read_outlines(connection, study_id, states, included_ids, after_id)
    by_id = {id_of(trial): trial for trial in trials}
    reports, params = (REPORTS.c[name] for name in ("step", "intermediate_value")), PARAMS.c
    kind = _text(REPORTS.c.intermediate_value_type)
    for trial_id, step, value, how in _rows(connection, study_id, by_id, REPORTS, [*reports, kind]):
        by_id[trial_id].intermediate_values[_step(step)] = _number(value, how)
    asked = [params.param_name, params.param_value, params.distribution_json]
    for trial_id, name, value, text in _rows(connection, study_id, by_id, PARAMS, asked, PARAMS.c.param_id):
        distribution = _distribution(text)
        by_id[trial_id].params[name] = distribution.to_external_repr(_finite(value))
        by_id[trial_id].distributions[name] = distribution
    for table, field in ((USER_ATTRS, "user_attrs"), (SYSTEM_ATTRS, "system_attrs")):
        for trial_id, key, text in _rows(connection, study_id, by_id, table, [table.c.key, table.c.value_json]):
            getattr(by_id[trial_id], field)[key] = json.loads(text)
    return trials


def read_outlines(
    connection: sqlalchemy.Connection,
    study_id: int,
    states: Collection[TrialState] | None = None,
    included_ids: Collection[int] = (),
    after_id: int = -1,
) -> list[FrozenTrial]:
    """Return trials with their states, times and values only, without parameters, reports or attributes.

    The arguments are those of `read_trials`.
    """
    columns = (TRIALS.c[name] for name in ("trial_id", "number", "datetime_start", "datetime_complete"))
    query = sqlalchemy.select(*columns, _text(TRIALS.c.state)).where(TRIALS.c.study_id == study_id)
    included = {trial_id for trial_id in included_ids if trial_id <= after_id}
    if after_id > -1:
        query = query.where((TRIALS.c.trial_id > after_id) | _is_one_of(TRIALS.c.trial_id, included))
    if states is not None:
        query = query.where(TRIALS.c.state.in_(states))
    rows: Iterable[Any] = connection.execute(query.order_by(TRIALS.c.trial_id))
    trials = [_outline(*row) for row in rows if row[0] > after_id or row[0] in included]
    by_id = {id_of(trial): trial for trial in trials}
    values: defaultdict[int, dict[int, float]] = defaultdict(dict)
    columns_of_values = [VALUES.c.objective, VALUES.c.value, _text(VALUES.c.value_type)]
    for trial_id, objective, value, how in _rows(connection, study_id, by_id, VALUES, columns_of_values):
        values[trial_id][objective] = _number(value, how)
    for trial_id, those in values.items():
        by_id[trial_id].values = [those[objective] for objective in sorted(those)]
    for trial in trials:
        if trial.state == TrialState.COMPLETE and (not trial.values or any(map(math.isnan, trial.values))):
            raise NotUnderstoodError(f"trial {trial.number} is complete but has no value")
    return trials


def _outline(
    trial_id: int, number: int, start: datetime.datetime | None, complete: datetime.datetime | None, state: str
) -> FrozenTrial:
    if state not in TrialState.__members__ or not isinstance(number, int) or number < 0:
        raise NotUnderstoodError("the state or the number of a trial is invalid")
    return FrozenTrial(
        number=number,
        trial_id=trial_id,
        state=TrialState[state],
        value=None,
        datetime_start=local(start),
        datetime_complete=local(complete),
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def _rows(
    connection: sqlalchemy.Connection,
    study_id: int,
    by_id: Mapping[int, FrozenTrial],
    table: sqlalchemy.Table,
    columns: Iterable[Any],
    order: Any = None,
) -> Iterable[Any]:
    """Return the rows of a table that belong to the trials in `by_id`: the trial's id, then the columns."""
    if not by_id:
        return []
    query = sqlalchemy.select(table.c.trial_id, *columns)
    if len(by_id) > _FEW:
        query = query.join(TRIALS, TRIALS.c.trial_id == table.c.trial_id).where(TRIALS.c.study_id == study_id)
    rows: Iterable[Any] = connection.execute(query.where(_is_one_of(table.c.trial_id, by_id.keys())).order_by(order))
    return rows if len(by_id) <= _FEW else (row for row in rows if row[0] in by_id)


def _is_one_of(column: Any, ids: Collection[int]) -> Any:
    """Return the condition that an id is one of `ids`; if these are many, that it lies between the first and last."""
    if len(ids) <= _FEW:
        return column.in_(sorted(ids))
    return column.between(min(ids), max(ids))


def _text(column: Any) -> Any:
    """Return a column of enumeration names as text, because converting 100,000 rows to members is slow."""
    return sqlalchemy.type_coerce(column, sqlalchemy.String)


def _number(stored: Any, how: str) -> float:
    if isinstance(stored, (int, float)) and how == _FINITE:
        return stored
    if stored is None:
        return _NOT_FINITE[how]
    raise NotUnderstoodError("a value of a trial is no number")


def _finite(stored: Any) -> float:
    """Return a stored parameter, checked, because databases without column types may contain any value."""
    if isinstance(stored, (int, float)) and math.isfinite(stored):
        return stored
    raise NotUnderstoodError("a parameter of a trial is no number")


def _step(stored: Any) -> int:
    if isinstance(stored, int) and stored >= 0:
        return stored
    raise NotUnderstoodError("a step of a trial is no whole number of at least 0")


@functools.lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)
