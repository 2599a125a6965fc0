"""Optuna's private tables, as the storages here read and write them."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy
from optuna.storages import BaseStorage
from optuna.storages._rdb import models
from optuna.study._frozen import FrozenStudy
from optuna.trial import TrialState

__all__ = ["FrozenStudy"]

STUDIES = models.StudyModel.__table__
STUDY_DIRECTIONS = models.StudyDirectionModel.__table__
STUDY_USER_ATTRS = models.StudyUserAttributeModel.__table__
STUDY_SYSTEM_ATTRS = models.StudySystemAttributeModel.__table__
TRIALS = models.TrialModel.__table__
VALUES = models.TrialValueModel.__table__
REPORTS = models.TrialIntermediateValueModel.__table__
PARAMS = models.TrialParamModel.__table__
USER_ATTRS = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRS = models.TrialSystemAttributeModel.__table__
NOT_FOUND = models.NOT_FOUND_MSG
"""The text of Optuna's KeyError for a missing record."""

stored_value = models.TrialValueModel.value_to_stored_repr
stored_report = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr

# Not `state IN (...)`: SQLAlchemy renders its SQL again each time, which takes as long as the whole other work.
IS_WRITABLE = sqlalchemy.or_(*(TRIALS.c.state == state for state in TrialState if not state.is_finished()))
"""The condition that a trial may be written to."""

OF_STUDY = TRIALS.c.study_id == sqlalchemy.bindparam("study_id")
STUDY = sqlalchemy.select(STUDIES.c.study_id).where(STUDIES.c.study_id == sqlalchemy.bindparam("study_id"))


def given(table: Any, *names: str) -> dict[str, Any]:
    """Return parameters for a statement, by the names of their columns; they get values when it is executed."""
    return {name: sqlalchemy.bindparam(name, type_=table.c[name].type) for name in names}


def utc(time: datetime.datetime | None) -> datetime.datetime | None:
    """Return a trial's time as tables store it: in UTC, without a time zone."""
    return None if time is None else time.astimezone(datetime.timezone.utc).replace(tzinfo=None)


def local(stored: datetime.datetime | None) -> datetime.datetime | None:
    """Return a stored time as Optuna's trials have it: in local time, without a time zone."""
    return None if stored is None else stored.replace(tzinfo=datetime.timezone.utc).astimezone().replace(tzinfo=None)


def behind_cache(storage: BaseStorage) -> object:
    """Return the storage behind the cache that Optuna puts before databases; None if there is no cache."""
    return getattr(storage, "_backend", None)
