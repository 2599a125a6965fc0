"""Optuna storages, opened so that many slots and many processes can share them."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import filelock
import optuna
import sqlalchemy

from autotune.errors import StorageError
from autotune.training.disk import disk_full

_BUSY_TIMEOUT_S = 120  # a commit takes milliseconds; this is for hundreds of them in a row on a slow disk


def open_storage(url: str) -> optuna.storages.BaseStorage:
    """Open the storage at `url`, creating its tables if it is new.

    SQLite files are opened with WAL (readers and the writer do not wait for each other), `synchronous=NORMAL` (safe
    with WAL: a power cut may lose the last commits, never the file), a long busy timeout, and transactions that are
    immediate, so that what a transaction has read is still true when it writes: two slots cannot claim one trial.

    Args:
        url: An SQLAlchemy URL, e.g. "sqlite:///runs/autotune.db".

    Raises:
        DiskFullError: If there is no room for it.
        StorageError: If there is no such storage, or it cannot be reached. The message holds no password.
    """
    try:
        parsed = _parse(url)
        if parsed.get_backend_name() == "sqlite":
            return _open_sqlite(parsed)
        return optuna.storages.get_storage(url)
    except Exception as error:
        if full := disk_full(error, *sqlite_folder(url)):
            raise full from error
        raise StorageError(
            f"the storage {shown_url(url)} cannot be opened: {_reason(error)}",
            "A storage is an SQLAlchemy URL such as sqlite:///runs/autotune.db or postgresql+psycopg://user@host/db.",
            "Check the URL, that the folder or the server is there, and that its driver is installed.",
        ) from error


def open_existing_storage(url: str) -> optuna.storages.BaseStorage | None:
    """Open a storage to look at it; None if it would be a new SQLite file.

    Raises:
        StorageError: As `open_storage` does.
    """
    with contextlib.suppress(sqlalchemy.exc.ArgumentError):
        parsed = _parse(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database and not Path(parsed.database).exists():
            return None
    return open_storage(url)


def _open_sqlite(url: sqlalchemy.URL) -> optuna.storages.BaseStorage:
    in_memory = url.database in (None, "", ":memory:")
    if not in_memory and not (folder := Path(url.database or "").absolute().parent).is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")  # the lock below would create it
    opening = contextlib.nullcontext() if in_memory else filelock.FileLock(f"{url.database}.lock")
    # One at a time: two processes that create the tables, or switch to WAL, at once get in each other's way.
    with opening:
        rdb = optuna.storages.RDBStorage(
            url.render_as_string(hide_password=False),
            engine_kwargs={
                "connect_args": {"timeout": _BUSY_TIMEOUT_S},
                "pool_events": [(_prepare_connection, "connect")],
                **({} if in_memory else {"pool_size": 4, "max_overflow": -1}),
            },
        )
    sqlalchemy.event.listen(rdb.engine, "begin", _begin_immediate)
    return optuna.storages.get_storage(rdb)


def _prepare_connection(connection: sqlite3.Connection, record: Any) -> None:
    connection.isolation_level = None  # sqlite3 would begin transactions late, and not immediate
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _begin_immediate(connection: sqlalchemy.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def shown_url(url: str) -> str:
    """Return a storage's URL as it may be shown: without its password."""
    try:
        parsed = _parse(url)
    except sqlalchemy.exc.ArgumentError:
        return "given" if set("@?") & set(url) or url.count(":") > 1 else repr(url)
    if url.count("@") > 1 and parsed.get_backend_name() != "sqlite":
        return "given"  # with an @ in it that is not written %40, a password does not end where it seems to
    secrets = [name for name in parsed.query if "pass" in name.lower()]
    return parsed.difference_update_query(secrets).render_as_string(hide_password=True)


def _parse(url: str) -> sqlalchemy.URL:
    try:
        return sqlalchemy.make_url(url)
    except ValueError:  # the port is not a number; whoever forgot the host has the password there
        raise sqlalchemy.exc.ArgumentError("not a URL") from None


def _reason(error: Exception) -> str:
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, sqlalchemy.exc.ArgumentError):
        return "it is not a URL."
    original = getattr(cause, "orig", None)
    return f"{original or cause}".splitlines()[0]


def sqlite_url(path: Path) -> str:
    """Return the URL of an SQLite file."""
    return sqlalchemy.URL.create("sqlite", database=str(path)).render_as_string()


def sqlite_folder(url: str) -> tuple[Path, ...]:
    """Return the folder of an SQLite file; nothing for other storages."""
    with contextlib.suppress(sqlalchemy.exc.ArgumentError):
        parsed = _parse(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            return (Path(parsed.database).absolute().parent,)
    return ()
