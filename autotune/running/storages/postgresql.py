"""Optuna's storage on PostgreSQL, which creates a trial in two requests and ends it in one."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.dialects import postgresql

from autotune.running.storages.quick import QuickStorage, as_made, is_empty, naming_errors
from autotune.running.storages.tables import IS_WRITABLE, STUDY, SYSTEM_ATTRS, TRIALS, VALUES, given, stored_value, utc

_AT_ONCE: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "preserve_rowcount": True}


class PostgresStorage(QuickStorage):
    """A `QuickStorage` for a URL of PostgreSQL.

    In addition to the values of trials, it writes new trials without parameters, and ends with at most one value, in
    fewer requests.
    """

    @contextmanager
    def writing(self) -> Iterator[sqlalchemy.Connection]:
        with self.engine.connect().execution_options(**_AT_ONCE) as connection:
            yield connection

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        if template_trial is None or not is_empty(template_trial):
            return super()._create_new_trial(study_id, template_trial)
        attrs = template_trial.system_attrs
        row = {
            "study_id": study_id,
            "state": template_trial.state,
            "datetime_start": utc(template_trial.datetime_start),
            "keys": list(attrs),
            "values": [json.dumps(value) for value in attrs.values()],
        }
        with naming_errors("A trial could not be created."), self.engine.begin() as connection:
            if connection.execute(_LOCK, {"study_id": study_id}).first() is None:
                raise KeyError(f"There is no study with the id {study_id}.")
            trial_id, number = connection.execute(_TRIAL, row).one()
        return as_made(template_trial, trial_id, number)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        if state.is_finished() and len(values or ()) <= 1:
            row: dict[str, Any] = {"trial": trial_id, "end": state, "datetime_complete": utc(datetime.datetime.now())}
            for value in values or ():
                row["value"], row["value_type"] = stored_value(value)
            if self._is_written(_END_WITH_VALUE if values else _END, row):
                return True
        return super().set_trial_state_values(trial_id, state, values)


def _creation() -> Any:
    """Return the statement that inserts a trial, with its number and its system attributes.

    An earlier statement must lock the study, because this one counts the trials that existed when it began.
    """
    study_id = sqlalchemy.bindparam("study_id", type_=sqlalchemy.Integer)
    count = sqlalchemy.select(sqlalchemy.func.count()).where(TRIALS.c.study_id == study_id).scalar_subquery()
    of_template = given(TRIALS, "state", "datetime_start")
    insertion = postgresql.insert(TRIALS).values(number=count, study_id=study_id, **of_template)
    made = insertion.returning(TRIALS.c.trial_id, TRIALS.c.number).cte("made")
    arrays = [sqlalchemy.bindparam(name, type_=postgresql.ARRAY(sqlalchemy.Text)) for name in ("keys", "values")]
    rows = sqlalchemy.select(made.c.trial_id, *map(sqlalchemy.func.unnest, arrays))
    marked = postgresql.insert(SYSTEM_ATTRS).from_select(["trial_id", "key", "value_json"], rows).cte("marked")
    return sqlalchemy.select(made.c.trial_id, made.c.number).add_cte(marked)


def _end(has_value: bool) -> Any:
    """Return the statement that ends a trial, if it has not ended, with one value or none."""
    end = (
        sqlalchemy.update(TRIALS)
        .where(TRIALS.c.trial_id == sqlalchemy.bindparam("trial"), IS_WRITABLE)
        .values(
            state=sqlalchemy.bindparam("end", type_=TRIALS.c.state.type),
            **given(TRIALS, "datetime_complete"),
        )
    )
    if not has_value:
        return end
    ended = end.returning(TRIALS.c.trial_id).cte("ended")
    value = given(VALUES, "value", "value_type").values()
    row = sqlalchemy.select(ended.c.trial_id, sqlalchemy.literal(0), *value)
    insertion = postgresql.insert(VALUES).from_select(["trial_id", "objective", "value", "value_type"], row)
    replaced = {name: insertion.excluded[name] for name in ("value", "value_type")}
    return insertion.on_conflict_do_update(index_elements=["trial_id", "objective"], set_=replaced)


_LOCK = STUDY.with_for_update()
_TRIAL = _creation()
_END, _END_WITH_VALUE = _end(has_value=False), _end(has_value=True)
