"""Opening of Optuna's storages by URL, so that many slots and processes can share them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import optuna
import sqlalchemy
from optuna.storages import BaseStorage

from autotune.disk import disk_full
from autotune.distribution import install_command
from autotune.errors import StorageError
from autotune.running.storages.journal import open_journal
from autotune.running.storages.outages import is_taken, is_without_tables, reason
from autotune.running.storages.patience import Patience
from autotune.running.storages.patient import PatientStorage
from autotune.running.storages.sqlite import SqliteStorage
from autotune.running.storages.url import parse_url, shown_url, sqlite_url, storage_file, storage_folder
from autotune.running.storages.watched_file import saved_copies

if TYPE_CHECKING:
    from autotune.running.storages.postgresql import PostgresStorage

__all__ = ["open_existing_storage", "open_storage", "open_to_look", "saved_storage", "shown_url", "sqlite_url"]

_BUSY_TIMEOUT_S = 120  # long enough for hundreds of commits in a row on a slow disk; one takes milliseconds
# With these a server that disappears (its machine or network fails) is noticed within a minute, not after two hours.
_LIBPQ: Mapping[str, object] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# 64 slots can share a parent's 16 connections, because each request takes milliseconds. So six parents stay below the
# 100 connections that PostgreSQL accepts by default.
_POOL: Mapping[str, object] = {
    "pool_pre_ping": True,
    "pool_size": 16,
    "max_overflow": 0,  # connections beyond the pool would be created and closed for every request
    "pool_timeout": _BUSY_TIMEOUT_S,
}
_OPENING = 0x6175746F  # a number for PostgreSQL's advisory lock: "auto"
_GRPC_PORT = 13000  # Optuna's
_EXTRAS = {"psycopg": "postgres", "grpc": "grpc", "google": "grpc"}  # google.protobuf


def open_storage(url: str, patience: Patience | None = None) -> PatientStorage:
    """Open the storage at `url`, creating its tables or its file if it is new.

    If the storage is unreachable, opening it waits for a minute, and later requests wait longer. If its file is
    deleted, moved or replaced while it is in use, its content is saved and a `StorageLostError` is raised.

    Args:
        url: "sqlite:///runs/autotune.db", "postgresql+psycopg://user@host/db" or another URL of SQLAlchemy;
            "journal:///runs/study.log", or the path of a file that ends in .log or .journal; "grpc://host:13000" for a
            proxy of `autotune serve`.
        patience: How to wait; None to fail at once if it cannot be opened.

    Raises:
        DiskFullError: If its disk is full.
        StorageError: If the storage does not exist or is unreachable. The message contains no password.
    """
    opener = partial(_open, url)
    if _is_in_memory(url):  # opening it again would create another one
        storage = opener()
        opener = partial(_same, storage)
    return PatientStorage(opener, shown_url(url), patience)


def open_existing_storage(url: str) -> PatientStorage | None:
    """Open an existing storage; return None if its file does not exist.

    Raises:
        StorageError: Like `open_storage`.
    """
    return open_storage(url) if _is_there(url) else None


def open_to_look(url: str) -> PatientStorage | None:
    """Open a storage for reading only: it refuses writes, and no table or file is created.

    Returns:
        The storage; None if its file does not exist, or a server has no tables of Optuna.

    Raises:
        StorageError: Like `open_storage`. The returned storage raises it for every write.
    """
    if not _is_there(url):
        return None
    opener = partial(_same, _open(url)) if _is_in_memory(url) else partial(_open, url, to_look=True)
    try:
        return PatientStorage(opener, shown_url(url), is_read_only=True)
    except StorageError as error:
        if is_without_tables(error):
            return None
        raise


def saved_storage(url: str) -> str | None:
    """Return the URL of the newest saved copy of a storage that was lost while it was used; None if there is none."""
    with contextlib.suppress(sqlalchemy.exc.ArgumentError, OSError):
        parsed = parse_url(url)
        if (file := storage_file(parsed)) is not None and (copies := saved_copies(file)):
            return f"{parsed.get_backend_name()}:///{copies[0]}"
    return None


def _is_there(url: str) -> bool:
    with contextlib.suppress(sqlalchemy.exc.ArgumentError):
        file = storage_file(parse_url(url))
        return file is None or file.exists()
    return True  # opening it raises an error that says what is wrong


def _open(url: str, to_look: bool = False) -> BaseStorage:
    try:
        return _open_parsed(parse_url(url), url, to_look)
    except ImportError as error:
        raise _missing_package(url, error) from error
    except Exception as error:
        if full := disk_full(error, *storage_folder(url)):
            raise full from error
        raise StorageError(
            f"the storage {shown_url(url)} cannot be opened: {_reason(error, url)}",
            "A storage is an SQLAlchemy URL such as sqlite:///runs/autotune.db or postgresql+psycopg://user@host/db, "
            "a journal file such as journal:///runs/study.log, or grpc://host:port.",
            "Check that the URL is correct, that the folder or the server exists, and that its driver is installed.",
        ) from error


def _open_parsed(parsed: sqlalchemy.URL, url: str, to_look: bool) -> BaseStorage:
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        return _open_sqlite(parsed, to_look)
    if kind == "postgresql":
        return _open_postgresql(parsed, to_look)
    if kind == "journal":
        return open_journal(_journal_file(parsed), saves=not to_look)
    if kind == "grpc":
        return _open_proxy(parsed)
    return optuna.storages.get_storage(url)


def _same(storage: BaseStorage) -> BaseStorage:
    return storage


def _is_in_memory(url: str) -> bool:
    with contextlib.suppress(sqlalchemy.exc.ArgumentError):
        parsed = parse_url(url)
        return parsed.get_backend_name() == "sqlite" and storage_file(parsed) is None
    return False


def _open_sqlite(url: sqlalchemy.URL, to_look: bool) -> BaseStorage:
    file = storage_file(url)
    if file is not None and not file.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {file.parent}")  # the lock below would create it
    opening = filelock.FileLock(f"{url.database}.lock") if file is not None else contextlib.nullcontext()
    if to_look:
        return optuna.storages.get_storage(_sqlite_to_look(url, opening))
    # One process at a time: if two create the tables or switch to WAL at the same time, one of them fails.
    with opening:
        return optuna.storages.get_storage(_sqlite(url, to_look=False))


def _sqlite(url: sqlalchemy.URL, to_look: bool) -> SqliteStorage:
    pool = {"pool_size": 5, "max_overflow": -1} if (file := storage_file(url)) is not None else {}
    return SqliteStorage(url.render_as_string(hide_password=False), _BUSY_TIMEOUT_S, pool, to_look, file)


def _sqlite_to_look(url: sqlalchemy.URL, opening: contextlib.AbstractContextManager[object]) -> SqliteStorage:
    try:
        return _sqlite(url, to_look=True)
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError):
        if not Path(f"{url.database}.lock").exists():
            raise
    with opening:  # another process may be creating the tables
        return _sqlite(url, to_look=True)


def _open_postgresql(url: sqlalchemy.URL, to_look: bool) -> BaseStorage:
    if url.drivername == "postgresql" and importlib.util.find_spec("psycopg") is not None:
        url = url.set(drivername="postgresql+psycopg")
    is_libpq = url.drivername in ("postgresql+psycopg", "postgresql+psycopg2")
    connect_args = {name: value for name, value in _LIBPQ.items() if name not in url.query} if is_libpq else {}
    rdb = _opened_to_look(url, connect_args) if to_look else _with_tables(url, connect_args)
    sqlalchemy.event.listen(rdb.engine, "handle_error", _name_lost_connection)
    return optuna.storages.get_storage(rdb)


def _with_tables(url: sqlalchemy.URL, connect_args: dict[str, object], attempts: int = 3) -> PostgresStorage:
    from autotune.running.storages.postgresql import PostgresStorage  # a slow import, and most studies are in a file

    try:
        with _alone_in(url, connect_args):
            return PostgresStorage(
                url.render_as_string(hide_password=False), engine_kwargs={**_POOL, "connect_args": connect_args}
            )
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        # A process that was killed has released its lock, but the server may still be creating tables for it.
        if attempts == 1 or not is_taken(error):
            raise
        return _with_tables(url, connect_args, attempts - 1)


def _opened_to_look(url: sqlalchemy.URL, connect_args: dict[str, object]) -> PostgresStorage:
    from autotune.running.storages.postgresql import PostgresStorage

    kwargs = {**_POOL, "connect_args": connect_args, "execution_options": {"postgresql_readonly": True}}
    return PostgresStorage(url.render_as_string(hide_password=False), engine_kwargs=kwargs, skip_table_creation=True)


def _name_lost_connection(context: sqlalchemy.ExceptionContext) -> Exception | None:
    """Return an `InterfaceError` in place of an `OperationalError` for a lost connection.

    When Optuna reads trials, it believes that an `OperationalError` comes from a too long statement. It logs the whole
    statement and tries again with the same connection, which does not help.
    """
    error = context.sqlalchemy_exception
    if not (context.is_disconnect and isinstance(error, sqlalchemy.exc.OperationalError)) or context.is_pre_ping:
        return None
    original = context.original_exception
    return sqlalchemy.exc.InterfaceError(error.statement, error.params, original, connection_invalidated=True)


@contextlib.contextmanager
def _alone_in(url: sqlalchemy.URL, connect_args: dict[str, object]) -> Iterator[None]:
    """Keep others from opening the same database during the block: if two create its tables at once, one fails."""
    engine = sqlalchemy.create_engine(url, connect_args=connect_args, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_OPENING})")
        yield


def _journal_file(url: sqlalchemy.URL) -> Path:
    file = storage_file(url)
    if file is None or url.host is not None:
        raise ValueError("the URL of a journal has three slashes before a relative path, four before an absolute one")
    return file


def _open_proxy(url: sqlalchemy.URL) -> BaseStorage:
    if url.host is None or url.username is not None or url.database or url.query:
        raise ValueError("the URL of a proxy is grpc://host:port")
    # gRPC's handlers around a fork wait for its other threads, sometimes forever. They are not needed: no process here
    # uses gRPC after a fork.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    with warnings.catch_warnings():
        # reason: the class warns at every construction that it is experimental; Optuna has had it since 2024.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        host = f"[{url.host}]" if ":" in url.host else url.host
        proxy = optuna.storages.GrpcStorageProxy(host=host, port=url.port or _GRPC_PORT)
    with contextlib.suppress(KeyError):  # the proxy answers, that there is no such study
        proxy.get_study_id_from_name("")
    return proxy


def _missing_package(url: str, error: ImportError) -> StorageError:
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    package = (getattr(cause, "name", None) or str(cause)).partition(".")[0]
    extra = _EXTRAS.get(package)
    fix = install_command(extra) if extra else f"Install the package that has {package}."
    if package == "psycopg2":
        fix = f"{install_command('postgres')}, and begin the URL with postgresql+psycopg://"
    return StorageError(
        f"the storage {shown_url(url)} cannot be opened: there is no package {package}.",
        "Storages that are not files need the package of their driver.",
        fix,
    )


def _reason(error: Exception, url: str) -> str:
    if shown_url(url) == "given":  # the original message may quote a part of it, which may be a password
        return "it is not a URL, or its password has an @ or a / in it that is not written %40 or %2F."
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return "it is not a URL." if isinstance(cause, sqlalchemy.exc.ArgumentError) else f"{reason(error)}."
