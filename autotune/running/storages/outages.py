"""The errors of a storage that mean that it is unreachable for now, and their reasons.

What is covered: databases that refuse, drop or time out connections, start up, shut down, or are too busy; an SQLite
file that is locked; a gRPC proxy that does not answer. What is not covered, because waiting does not help: invalid
data, a full disk, a file without write permission, a wrong password, a missing database.
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
# Errors of refused connections have no such code, only a text.
_REFUSALS = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied", "not permitted")
# MySQL: access denied (twice), no such database, disk full, table full.
_MYSQL_REFUSALS = (1044, 1045, 1049, 1021, 1114)


def is_away(error: BaseException) -> bool:
    """Tell whether an error means that the storage is unreachable for now."""
    if not isinstance(error, (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)):
        return _is_proxy_away(error)
    for one in _chain(error):
        if isinstance(one, sqlalchemy.exc.DBAPIError):
            return _is_database_away(one)
        if isinstance(one, sqlalchemy.exc.TimeoutError):  # all connections of the pool are busy
            return True
    return False


def is_refusal(error: BaseException) -> bool:
    """Tell whether a database refuses a value, e.g. a number that is too large for its column."""
    return any(isinstance(one, sqlalchemy.exc.DataError) for one in _chain(error))


def is_taken(error: BaseException) -> bool:
    """Tell whether PostgreSQL could not create something because another process created it at the same time."""
    return any(isinstance(one, sqlalchemy.exc.DBAPIError) and _state(one) in _TAKEN for one in _chain(error))


def why_unreadable(error: BaseException) -> str | None:
    """Return why a stored record is invalid, in one line; None if the error has another cause."""
    if isinstance(error, KeyError):  # there is no such study, or trial
        return None
    if isinstance(error, UNREADABLE):
        return f"{type(error).__name__}: {error}"
    is_internal = isinstance(error, (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError))
    return reason(error) if is_internal else None


def is_without_tables(error: BaseException) -> bool:
    """Tell whether PostgreSQL has no table of that name."""
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
    """Return PostgreSQL's code of an error; empty if it has none."""
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or ""


def is_servers(error: BaseException) -> bool:
    """Tell whether an error comes from a gRPC proxy or from the storage behind it."""
    grpc = sys.modules.get("grpc")  # an optional package: if it was never imported, the error is not from it
    return grpc is not None and isinstance(error, grpc.RpcError) and callable(getattr(error, "code", None))


def _is_proxy_away(error: BaseException) -> bool:
    away = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    return is_servers(error) and getattr(error, "code")().name in away  # noqa: B009 -- reason: not in BaseException
