"""Optuna's storage on an SQLite file that slots and processes share.

Readers and the writer do not wait for each other (WAL), and commits do not wait for the disk (`synchronous=NORMAL`: a
power cut may lose the last commits, but never the file). Transactions that may write are immediate, so that nothing
changes between their reads and writes: two slots cannot claim one trial. Each transaction first checks that the path
still leads to the open file.
"""

from __future__ import annotations

import datetime
import json
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from autotune.errors import StorageLostError
from autotune.running.storages.quick import QuickStorage, as_made, is_empty, naming_errors
from autotune.running.storages.tables import (
    IS_WRITABLE,
    OF_STUDY,
    STUDY,
    SYSTEM_ATTRS,
    TRIALS,
    VALUES,
    given,
    stored_value,
    utc,
)
from autotune.running.storages.url import sqlite_url
from autotune.running.storages.watched_file import WatchedFile

_BEGIN = "autotune_begin"  # the option of a connection that says how its transactions begin
_ALONE = "with the only statement"
_LOCKED_MS = 2000  # how long SQLite itself waits for a lock, in which Ctrl-C has no effect; then we ask it again
_DAMAGE = ("malformed", "not a database", "no such table", "readonly database")
_ANY = "SELECT name FROM sqlite_master LIMIT 1"


class SqliteStorage(QuickStorage):
    """A `QuickStorage` for a URL of SQLite.

    In addition to the values of trials, it writes new trials without parameters, and ends with at most one value, in
    fewer requests.

    Args:
        url: The URL.
        busy_timeout_s: How long to wait for other writers while it is opened.
        pool: SQLAlchemy's arguments for its pool of connections.
        to_look: Whether to open it for reading only: it is not created, and SQLite refuses every change.
        file: The path of the file; None if it is in memory. If the file is deleted, moved or replaced, its content is
            saved.
    """

    def __init__(
        self, url: str, busy_timeout_s: float, pool: dict[str, Any], to_look: bool = False, file: Path | None = None
    ) -> None:
        super().__init__(
            url,
            engine_kwargs={
                "connect_args": {"timeout": busy_timeout_s},
                "pool_events": [(_prepare_look if to_look else _prepare_connection, "connect")],
                **({"execution_options": {_BEGIN: "BEGIN"}} if to_look else {}),
                **pool,
            },
            skip_table_creation=to_look,
        )
        sqlalchemy.event.listen(self.engine, "begin", _begin)
        if file is not None:
            self._watch(file, to_look)

    def _watch(self, file: Path, to_look: bool) -> None:
        """Let every transaction check that the path still leads to the open file."""
        if to_look:
            watched = WatchedFile(file, (), sqlite_url, None)
        else:
            sqlalchemy.event.listen(self.engine, "handle_error", partial(_name_damage, file))
            self.engine.dispose()  # closes the connections from opening it, which do not have the settings below
            sqlalchemy.event.listen(self.engine, "connect", _prepare_use)
            # Never returned to the pool: an open file can still be read after its name was deleted or changed.
            self._reserve = self.engine.raw_connection()
            look = self._reserve.cursor()
            look.execute(_ANY)  # also opens the write-ahead log
            look.close()
            # A weak reference: with a strong one SQLAlchemy would keep the connection, and never close the file.
            watched = WatchedFile(file, ("-wal", "-shm"), sqlite_url, partial(_save, weakref.ref(self._reserve)))
        sqlalchemy.event.listen(self.engine, "begin", lambda _: watched.check(), insert=True)
        sqlalchemy.event.listen(self.engine, "do_connect", lambda *_: watched.check())  # else it would be created again

    @contextmanager
    def writing(self) -> Iterator[sqlalchemy.Connection]:
        with self._connected(_ALONE) as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sqlalchemy.Connection]:
        with self._connected("BEGIN") as connection:
            yield connection

    @contextmanager
    def _connected(self, how: str) -> Iterator[sqlalchemy.Connection]:
        with self.engine.connect().execution_options(**{_BEGIN: how}) as connection, connection.begin():
            yield connection

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        if template_trial is None or not is_empty(template_trial):
            return super()._create_new_trial(study_id, template_trial)
        row = {
            "study_id": study_id,
            "state": template_trial.state,
            "datetime_start": utc(template_trial.datetime_start),
        }
        with naming_errors("A trial could not be created."), self.engine.begin() as connection:
            if connection.execute(STUDY, row).first() is None:
                raise KeyError(f"There is no study with the id {study_id}.")
            number = connection.execute(_COUNT, row).scalar_one()
            trial_id = connection.execute(_TRIAL, {**row, "number": number}).lastrowid
            attrs = template_trial.system_attrs.items()
            if rows := [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in attrs]:
                connection.execute(_ATTRS, rows)
        return as_made(template_trial, trial_id, number)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        if state.is_finished() and len(values or ()) <= 1 and self._is_ended(trial_id, state, values or ()):
            return True
        return super().set_trial_state_values(trial_id, state, values)

    def _is_ended(self, trial_id: int, state: TrialState, values: Sequence[float]) -> bool:
        """End a trial and return True; return False if it does not exist or has ended already."""
        end = {"trial": trial_id, "end": state, "datetime_complete": utc(datetime.datetime.now())}
        with naming_errors("The end of a trial could not be written."), self.engine.begin() as connection:
            if connection.execute(_END, end).rowcount != 1:
                return False
            for value in values:
                stored, kind = stored_value(value)
                row = {"trial_id": trial_id, "objective": 0, "value": stored, "value_type": kind}
                connection.execute(_NO_VALUE, {"trial": trial_id})
                connection.execute(_VALUE, row)
        return True


def _prepare_connection(connection: sqlite3.Connection, record: Any) -> None:
    connection.isolation_level = None  # sqlite3 itself would begin transactions too late, and not as immediate ones
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _prepare_use(connection: sqlite3.Connection, record: Any) -> None:
    connection.execute(f"PRAGMA busy_timeout={_LOCKED_MS}").close()


def _prepare_look(connection: sqlite3.Connection, record: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON").close()


def _name_damage(file: Path, context: sqlalchemy.ExceptionContext) -> Exception | None:
    error = str(context.original_exception)
    if not any(words in error for words in _DAMAGE):
        return None
    return StorageLostError(
        f"the storage {file} cannot be used any more: {error}.",
        "Another program has changed it while it was in use, or its disk has failed.",
        "Restore a copy of it, or make its disk available again, and run the same command again.",
    )


def _save(reserve: weakref.ref[Any], path: Path) -> None:
    """Write the content of the open file to `path`. Running trials wait in the copy, which no parent will end."""
    opened = reserve()
    assert opened is not None  # its storage has just been used
    with closing(sqlite3.connect(path)) as saved:
        opened.driver_connection.backup(saved)
        with saved:
            saved.execute("UPDATE trials SET state = 'WAITING' WHERE state = 'RUNNING'")


def _begin(connection: sqlalchemy.Connection) -> None:
    how = connection.get_execution_options().get(_BEGIN, "BEGIN IMMEDIATE")
    if how != _ALONE:
        connection.exec_driver_sql(how)


_COUNT = sqlalchemy.select(sqlalchemy.func.count()).where(OF_STUDY)
_TRIAL = sqlalchemy.insert(TRIALS).values(given(TRIALS, "study_id", "number", "state", "datetime_start"))
_ATTRS = sqlalchemy.insert(SYSTEM_ATTRS)
_END = (
    sqlalchemy.update(TRIALS)
    .where(TRIALS.c.trial_id == sqlalchemy.bindparam("trial"), IS_WRITABLE)
    .values(
        state=sqlalchemy.bindparam("end", type_=TRIALS.c.state.type),
        **given(TRIALS, "datetime_complete"),
    )
)
_NO_VALUE = sqlalchemy.delete(VALUES).where(VALUES.c.trial_id == sqlalchemy.bindparam("trial"))
_VALUE = sqlalchemy.insert(VALUES)
