"""Optuna's storage on PostgreSQL, which writes in one request what a running trial writes most often.

Optuna looks whether the trial may be written to, looks whether the value is there, and writes it: six requests, and
with many slots at work a parent does little else. Here the database looks and writes at once. Where it writes nothing,
Optuna's way is gone to the end, which says why.

What is covered: new trials that nothing is known of yet, reports, parameters that the study knows, attributes of
trials, ends with at most one value. What is not: other databases, where the file or the network decides how long a
request takes.
"""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.dialects import postgresql

_AT_ONCE: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "preserve_rowcount": True}
_WRITABLE = [state for state in TrialState if not state.is_finished()]


class PostgresStorage(RDBStorage):
    """An `RDBStorage` for a URL of PostgreSQL, with the same methods, tables and errors."""

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        if template_trial is None or template_trial.state not in _WRITABLE or _has_content(template_trial):
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
        try:
            with self.engine.begin() as connection:
                if connection.execute(_LOCK, {"study_id": study_id}).first() is None:
                    raise KeyError(f"There is no study with the id {study_id}.")
                trial_id, number = connection.execute(_TRIAL, row).one()
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise StorageInternalError("A trial could not be created.") from error
        created = copy.deepcopy(template_trial)
        created._trial_id, created.number = trial_id, number
        return created

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        if state.is_finished() and len(values or ()) <= 1:
            model = models.TrialModel(datetime_complete=datetime.datetime.now())
            row = {"trial": trial_id, "end": state, "datetime_complete": model._datetime_complete_utc}
            for value in values or ():
                row["value"], row["value_type"] = models.TrialValueModel.value_to_stored_repr(value)
            if self._is_written(_END_WITH_VALUE if values else _END, row):
                return True
        return super().set_trial_state_values(trial_id, state, values)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(intermediate_value)
        row = {"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind}
        if not self._is_written(_REPORT, row):
            super().set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        if not self._is_written(_USER_ATTR, {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}):
            super().set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        if not self._is_written(_SYSTEM_ATTR, {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}):
            super().set_trial_system_attr(trial_id, key, value)

    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        is_written = False  # without a previous distribution Optuna looks for one in the study's other trials
        if previous_distribution is not None and _is_compatible(previous_distribution, distribution):
            row = {
                "trial_id": trial_id,
                "param_name": param_name,
                "param_value": param_value_internal,
                "distribution_json": distribution_to_json(distribution),
            }
            is_written = self._is_written(_PARAM, row)
        if not is_written:
            super()._set_trial_param(trial_id, param_name, param_value_internal, distribution, previous_distribution)

    def _is_written(self, statement: sqlalchemy.Executable, row: dict[str, Any]) -> bool:
        """Write a row and return True, or return False if there is no such trial, or it is not to be written to."""
        try:
            with self.engine.connect().execution_options(**_AT_ONCE) as connection:
                return connection.execute(statement, row).rowcount == 1
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise StorageInternalError("A value of a trial could not be written.") from error


def _has_content(trial: FrozenTrial) -> bool:
    return bool(trial.params or trial.user_attrs or trial.intermediate_values or trial.values)


def _is_compatible(previous: BaseDistribution, distribution: BaseDistribution) -> bool:
    try:
        check_distribution_compatibility(previous, distribution)
    except ValueError:
        return False
    return True


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
        .where(trials.c.trial_id == sqlalchemy.bindparam("trial"), trials.c.state.in_(_WRITABLE))
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


def _insertion(model: Any, columns: Sequence[str], key: Sequence[str], is_first_kept: bool = False) -> Any:
    """Return the statement that inserts or replaces a row of a trial that may be written to.

    Args:
        model: Optuna's model of the table.
        columns: The columns that the row gives, `trial_id` among them.
        key: Those that are unique.
        is_first_kept: Whether to insert only.
    """
    table, trials = model.__table__, models.TrialModel.__table__
    given = [sqlalchemy.bindparam(name, type_=table.c[name].type) for name in columns]
    is_writable = (trials.c.trial_id == sqlalchemy.bindparam("trial_id")) & trials.c.state.in_(_WRITABLE)
    insertion = postgresql.insert(table).from_select(columns, sqlalchemy.select(*given).where(is_writable))
    if is_first_kept:
        return insertion.on_conflict_do_nothing(index_elements=key)
    replaced = {name: insertion.excluded[name] for name in columns if name not in key}
    return insertion.on_conflict_do_update(index_elements=key, set_=replaced)


_STUDIES = models.StudyModel.__table__
_LOCK = (
    sqlalchemy.select(_STUDIES.c.study_id)
    .where(_STUDIES.c.study_id == sqlalchemy.bindparam("study_id"))
    .with_for_update()
)
_TRIAL = _creation()
_END, _END_WITH_VALUE = _end(has_value=False), _end(has_value=True)
_REPORT = _insertion(
    models.TrialIntermediateValueModel,
    ["trial_id", "step", "intermediate_value", "intermediate_value_type"],
    key=["trial_id", "step"],
)
_PARAM = _insertion(
    models.TrialParamModel,
    ["trial_id", "param_name", "param_value", "distribution_json"],
    key=["trial_id", "param_name"],
    is_first_kept=True,
)
_USER_ATTR = _insertion(models.TrialUserAttributeModel, ["trial_id", "key", "value_json"], key=["trial_id", "key"])
_SYSTEM_ATTR = _insertion(models.TrialSystemAttributeModel, ["trial_id", "key", "value_json"], key=["trial_id", "key"])
