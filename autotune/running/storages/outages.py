"""Which errors of a storage mean that it is away for now, and in which words to say so.

What is covered: databases that refuse, drop or time out connections, start up, shut down, or are too busy; an SQLite
file that is locked; a gRPC proxy that does not answer. What is not, because waiting does not help: data that does not
fit, a full disk, a file that may not be written, a wrong password, a database that is not there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import optuna
import sqlalchemy.exc

from autotune.parsing import UNREADABLE

# PostgreSQL (https://www.postgresql.org/docs/current/errcodes-appendix.html): no connection, a serialization failure
# or a deadlock, too many connections, no lock in time, shut down by hand, after a crash, or not yet started.
_STATES = ("08", "40001", "40P01", "53300", "55P03", "57P01", "57P02", "57P03")
# PostgreSQL: a unique value, a table, another object that is there already.
_TAKEN = ("23505", "42P07", "42710")
_NO_TABLE = "42P01"
# A connection that PostgreSQL refuses has no such code, only words.
_REFUSALS = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied", "not permitted")
# MySQL: access denied (twice), no such database, disk full, table full.
_MYSQL_REFUSALS = (1044, 1045, 1049, 1021, 1114)


def is_away(error: BaseException) -> bool:
    """Say whether a storage has failed because it is away for now."""
    if not isinstance(error, (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)):
        return _is_proxy_away(error)
    for one in _chain(error):
        if isinstance(one, sqlalchemy.exc.DBAPIError):
            return _is_database_away(one)
        if isinstance(one, sqlalchemy.exc.TimeoutError):  # all connections of the pool are busy
            return True
    return False


def is_refusal(error: BaseException) -> bool:
    """Say whether a database does not take a value, such as a number that is too large for its column."""
    return any(isinstance(one, sqlalchemy.exc.DataError) for one in _chain(error))


def is_taken(error: BaseException) -> bool:
    """Say whether PostgreSQL was to create something that somebody else has created at the same time."""
    return any(isinstance(one, sqlalchemy.exc.DBAPIError) and _state(one) in _TAKEN for one in _chain(error))


def why_unreadable(error: BaseException) -> str | None:
    """Return why what a storage holds makes no sense, in one line; None if the error says something else."""
    if isinstance(error, KeyError):  # there is no such study, or trial
        return None
    if isinstance(error, UNREADABLE):
        return f"{type(error).__name__}: {error}"
    is_internal = isinstance(error, (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError))
    return reason(error) if is_internal else None


def is_without_tables(error: BaseException) -> bool:
    """Say whether PostgreSQL has no table of that name."""
    return any(isinstance(one, sqlalchemy.exc.DBAPIError) and _state(one) == _NO_TABLE for one in _chain(error))


def reason(error: BaseException) -> str:
    """Return why a storage has failed, in one line."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    details = getattr(cause, "details", None)  # of gRPC
    text = str(details() if callable(details) else getattr(cause, "orig", None) or cause)
    return next(iter(text.splitlines()), "").rstrip(".") or type(cause).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_database_away(error: sqlalchemy.exc.DBAPIError) -> bool:
    original = error.orig
    if type(original).__module__ == "sqlite3":
        return "locked" in str(original)
    if not isinstance(error, (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError)):
        return error.connection_invalidated
    if state := _state(error):
        return state.startswith(_STATES)
    if original is not None and original.args and original.args[0] in _MYSQL_REFUSALS:
        return False
    return not any(words in str(original) for words in _REFUSALS)


def _state(error: sqlalchemy.exc.DBAPIError) -> str:
    """Return PostgreSQL's code of an error; empty where there is none."""
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or ""


def is_servers(error: BaseException) -> bool:
    """Say whether a gRPC proxy passes on what has gone wrong where the storage is."""
    grpc = sys.modules.get("grpc")  # an extra: where it was never imported, the error is not its
    return grpc is not None and isinstance(error, grpc.RpcError) and callable(getattr(error, "code", None))


def _is_proxy_away(error: BaseException) -> bool:
    away = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    return is_servers(error) and getattr(error, "code")().name in away  # noqa: B009 -- reason: not in BaseException
