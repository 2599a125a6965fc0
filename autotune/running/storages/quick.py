"""Optuna's storage on a database, with fewer requests for frequent calls.

To write a value, Optuna checks whether the trial may be written to and whether the value exists, and then writes it.
These are six requests, and a parent with many slots does little else. Here one statement checks and writes. If it
writes nothing, Optuna's own method is called, which raises the right error. Trials are read without an object for each
row. A report takes 0.3 ms in place of 2 to 3 (scripts/benchmark_shortcuts.py).

What is covered: reports, parameters that the study has had before, attributes of trials, reading all trials. What is
not covered: studies, and databases other than SQLite and PostgreSQL.
"""

from __future__ import annotations

import copy
import functools
import importlib
import json
from abc import abstractmethod
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from autotune.optuna_inside import set_id
from autotune.parsing import NotUnderstoodError
from autotune.running.storages.rows import read_outlines, read_trials
from autotune.running.storages.stored_studies import read_studies
from autotune.running.storages.tables import (
    IS_WRITABLE,
    NOT_FOUND,
    OF_STUDY,
    PARAMS,
    REPORTS,
    STUDIES,
    STUDY,
    SYSTEM_ATTRS,
    TRIALS,
    USER_ATTRS,
    FrozenStudy,
    behind_cache,
    given,
    stored_report,
)


class QuickStorage(RDBStorage):
    """An `RDBStorage` with the same methods, tables and errors."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[sqlalchemy.Connection]:
        """Open a context that yields a connection for one writing statement, which is committed at its end."""

    @contextmanager
    def reading(self) -> Iterator[sqlalchemy.Connection]:
        """Open a context that yields a connection for reading."""
        with self.engine.begin() as connection:
            yield connection

    def outlines(self, study_id: int) -> list[FrozenTrial]:
        """Return all trials of a study with their states, times and values only."""
        with naming_errors("The trials could not be read."), understood(), self.reading() as connection:
            return read_outlines(connection, study_id)

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        with naming_errors("The trials could not be read."), self.reading() as connection:
            if connection.execute(STUDY, {"study_id": study_id}).first() is None:
                raise KeyError(f"There is no study with the id {study_id}.")
            chosen = None if states is None else [state for state in TrialState if state in states]
            with understood():
                return read_trials(connection, study_id, chosen, included_trial_ids, trial_id_greater_than)

    def study_names(self) -> list[str]:
        """Return the names of all studies, also of those with invalid records."""
        with naming_errors("The studies could not be read."), self.reading() as connection:
            rows = connection.execute(_NAMES)
            return [name for (name,) in rows if isinstance(name, str)]

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return the studies without those that have invalid records."""
        with naming_errors("The studies could not be read."), self.reading() as connection:
            return read_studies(connection)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        with understood():
            return super().get_trial(trial_id)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        with naming_errors("A trial could not be looked for."), self.reading() as connection:
            newest = connection.execute(_NEWEST, {"study_id": study_id}).first()
        if newest is None or newest.number < trial_number:  # Optuna's own method would read every trial
            raise KeyError(f"There is no trial {trial_number} in the study with the id {study_id}.")
        if newest.number == trial_number:
            return int(newest.trial_id)
        return super().get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        stored, kind = stored_report(intermediate_value)
        row = {"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind}
        if not self._is_written(self._statements.report, row):
            super().set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        row = {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
        if not self._is_written(self._statements.user_attr, row):
            super().set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        row = {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
        if not self._is_written(self._statements.system_attr, row):
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
            is_written = self._is_written(self._statements.param, row)
        if not is_written:
            super()._set_trial_param(trial_id, param_name, param_value_internal, distribution, previous_distribution)

    @property
    def _statements(self) -> _Statements:
        return _statements(self.engine.dialect.name)

    def _is_written(self, statement: sqlalchemy.Executable, row: dict[str, Any]) -> bool:
        """Write a row and return True; return False if the trial does not exist or has ended."""
        with naming_errors("A value of a trial could not be written."), self.writing() as connection:
            return connection.execute(statement, row).rowcount == 1


def quick_behind(storage: BaseStorage) -> QuickStorage | None:
    """Return the `QuickStorage` behind Optuna's cache, which itself would read all trials; None if there is none."""
    backend = behind_cache(storage)
    return backend if isinstance(backend, QuickStorage) else None


@contextmanager
def naming_errors(what: str) -> Iterator[None]:
    """Raise a `StorageInternalError` in place of an error of SQLAlchemy, like Optuna's storages.

    Raises:
        StorageInternalError: If there is such an error.
    """
    try:
        yield
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise StorageInternalError(what) from error


@contextmanager
def understood() -> Iterator[None]:
    """Distinguish an invalid record from a missing one, for both of which Optuna raises a KeyError.

    Raises:
        NotUnderstoodError: In place of a KeyError, unless its text is the one for a missing record.
    """
    try:
        yield
    except KeyError as error:
        if error.args == (NOT_FOUND,):
            raise
        raise NotUnderstoodError(f"{error} is not known") from error


def is_empty(trial: FrozenTrial | None) -> bool:
    """Tell whether a trial to be created has only an unfinished state and system attributes."""
    if trial is None or trial.state.is_finished():
        return False
    return not (trial.params or trial.user_attrs or trial.intermediate_values or trial.values)


def as_made(template: FrozenTrial, trial_id: int, number: int) -> FrozenTrial:
    """Return the trial that was created from a template."""
    made = copy.deepcopy(template)
    set_id(made, trial_id, number)
    return made


def _is_compatible(previous: BaseDistribution, distribution: BaseDistribution) -> bool:
    try:
        check_distribution_compatibility(previous, distribution)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class _Statements:
    """The statements that insert or replace one row of a trial, if the trial has not ended."""

    report: Any
    param: Any
    user_attr: Any
    system_attr: Any


@functools.cache
def _statements(dialect: str) -> _Statements:
    attr = ["trial_id", "key", "value_json"]
    param = ["trial_id", "param_name", "param_value", "distribution_json"]
    report = ["trial_id", "step", "intermediate_value", "intermediate_value_type"]
    return _Statements(
        report=_replacing(_insertion(dialect, REPORTS, report), report, ["trial_id", "step"]),
        param=_insertion(dialect, PARAMS, param).on_conflict_do_nothing(index_elements=["trial_id", "param_name"]),
        user_attr=_replacing(_insertion(dialect, USER_ATTRS, attr), attr, ["trial_id", "key"]),
        system_attr=_replacing(_insertion(dialect, SYSTEM_ATTRS, attr), attr, ["trial_id", "key"]),
    )


def _insertion(dialect: str, table: Any, columns: Sequence[str]) -> Any:
    is_writable = (TRIALS.c.trial_id == sqlalchemy.bindparam("trial_id")) & IS_WRITABLE
    # Import only this dialect, because a dialect imports the code of all its drivers.
    insert = importlib.import_module(f"sqlalchemy.dialects.{dialect}").insert
    insertion = insert(table).from_select(
        columns, sqlalchemy.select(*given(table, *columns).values()).where(is_writable)
    )
    return insertion.execution_options(preserve_rowcount=True)


def _replacing(insertion: Any, columns: Iterable[str], key: Sequence[str]) -> Any:
    replaced = {name: insertion.excluded[name] for name in columns if name not in key}
    return insertion.on_conflict_do_update(index_elements=key, set_=replaced)


_NAMES = sqlalchemy.select(STUDIES.c.study_name).order_by(STUDIES.c.study_id)
_NEWEST = (
    sqlalchemy.select(TRIALS.c.trial_id, TRIALS.c.number).where(OF_STUDY).order_by(TRIALS.c.trial_id.desc()).limit(1)
)
