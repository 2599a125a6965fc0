"""Optuna's storage on PostgreSQL: trials are made and ended in two requests and in one."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.dialects import postgresql

from autotune.running.storages.quick import IS_WRITABLE, QuickStorage, as_made, is_empty, naming_errors

_AT_ONCE: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "preserve_rowcount": True}


class PostgresStorage(QuickStorage):
    """A `QuickStorage` for a URL of PostgreSQL.

    What is covered beside the values of trials: new trials that nothing is known of yet, ends with at most one value.
    """

    @contextmanager
    def writing(self) -> Iterator[sqlalchemy.Connection]:
        with self.engine.connect().execution_options(**_AT_ONCE) as connection:
            yield connection

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        if template_trial is None or not is_empty(template_trial):
            return super()._create_new_trial(study_id, template_trial)
        attrs = template_trial.system_attrs
        model = models.TrialModel(datetime_start=template_trial.datetime_start)
        row = {
            "study_id": study_id,
            "state": template_trial.state,
            "datetime_start": model._datetime_start_utc,
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
            model = models.TrialModel(datetime_complete=datetime.datetime.now())
            row = {"trial": trial_id, "end": state, "datetime_complete": model._datetime_complete_utc}
            for value in values or ():
                row["value"], row["value_type"] = models.TrialValueModel.value_to_stored_repr(value)
            if self._is_written(_END_WITH_VALUE if values else _END, row):
                return True
        return super().set_trial_state_values(trial_id, state, values)


def _creation() -> Any:
    """Return the statement that inserts a trial, with its number and its system attributes.

    The study is to be locked by a statement before it: this one would count the trials as they were when it began.
    """
    trials, attrs = models.TrialModel.__table__, models.TrialSystemAttributeModel.__table__
    study_id = sqlalchemy.bindparam("study_id", type_=sqlalchemy.Integer)
    count = sqlalchemy.select(sqlalchemy.func.count()).where(trials.c.study_id == study_id).scalar_subquery()
    given = {name: sqlalchemy.bindparam(name, type_=trials.c[name].type) for name in ("state", "datetime_start")}
    insertion = postgresql.insert(trials).values(number=count, study_id=study_id, **given)
    made = insertion.returning(trials.c.trial_id, trials.c.number).cte("made")
    arrays = [sqlalchemy.bindparam(name, type_=postgresql.ARRAY(sqlalchemy.Text)) for name in ("keys", "values")]
    rows = sqlalchemy.select(made.c.trial_id, *map(sqlalchemy.func.unnest, arrays))
    marked = postgresql.insert(attrs).from_select(["trial_id", "key", "value_json"], rows).cte("marked")
    return sqlalchemy.select(made.c.trial_id, made.c.number).add_cte(marked)


def _end(has_value: bool) -> Any:
    """Return the statement that ends a trial that may be written to, with one value or none."""
    trials, values = models.TrialModel.__table__, models.TrialValueModel.__table__
    complete = sqlalchemy.bindparam("datetime_complete", type_=trials.c.datetime_complete.type)
    end = (
        sqlalchemy.update(trials)
        .where(trials.c.trial_id == sqlalchemy.bindparam("trial"), IS_WRITABLE)
        .values(state=sqlalchemy.bindparam("end", type_=trials.c.state.type), datetime_complete=complete)
    )
    if not has_value:
        return end
    ended = end.returning(trials.c.trial_id).cte("ended")
    given = [sqlalchemy.bindparam(name, type_=values.c[name].type) for name in ("value", "value_type")]
    row = sqlalchemy.select(ended.c.trial_id, sqlalchemy.literal(0), *given)
    insertion = postgresql.insert(values).from_select(["trial_id", "objective", "value", "value_type"], row)
    replaced = {name: insertion.excluded[name] for name in ("value", "value_type")}
    return insertion.on_conflict_do_update(index_elements=["trial_id", "objective"], set_=replaced)


_STUDIES = models.StudyModel.__table__
_LOCK = (
    sqlalchemy.select(_STUDIES.c.study_id)
    .where(_STUDIES.c.study_id == sqlalchemy.bindparam("study_id"))
    .with_for_update()
)
_TRIAL = _creation()
_END, _END_WITH_VALUE = _end(has_value=False), _end(has_value=True)
