"""The parts of a storage's URL, and the URL without passwords."""

from __future__ import annotations

import contextlib
from pathlib import Path

import sqlalchemy

_JOURNAL_SUFFIXES = (".log", ".journal")
_FILES = ("sqlite", "journal")
_HARMLESS = {"sslmode", "connect_timeout", "application_name", "client_encoding", "charset", "target_session_attrs"}


def parse_url(url: str) -> sqlalchemy.URL:
    """Return the parts of a storage's URL, which may also be the path of a journal file.

    Raises:
        sqlalchemy.exc.ArgumentError: If it is not a URL.
    """
    if _is_journal_path(url):
        return sqlalchemy.URL.create("journal", database=url)
    try:
        return sqlalchemy.make_url(url)
    except ValueError:  # the port is not a number; it may be the password, if the host is missing
        raise sqlalchemy.exc.ArgumentError("not a URL") from None


def storage_file(url: sqlalchemy.URL) -> Path | None:
    """Return the file of a storage; None if the storage is not a file."""
    if url.get_backend_name() in _FILES and url.database not in (None, "", ":memory:"):
        return Path(url.database or "").absolute()
    return None


def storage_folder(url: str) -> tuple[Path, ...]:
    """Return the folder of a storage's file in a tuple; empty if the storage is not a file."""
    with contextlib.suppress(sqlalchemy.exc.ArgumentError):
        if file := storage_file(parse_url(url)):
            return (file.parent,)
    return ()


def shown_url(url: str) -> str:
    """Return a storage's URL without its password; "given" if it is unclear which part is the password."""
    if _is_journal_path(url):
        return url
    try:
        parsed = parse_url(url)
    except sqlalchemy.exc.ArgumentError:
        return "given" if set("@?=") & set(url) or url.count(":") > 1 else repr(url)
    if parsed.get_backend_name() in _FILES:
        return parsed.render_as_string(hide_password=True)
    # If the password contains an @ that is not written %40, it does not end at the first @. With an extra slash, or a
    # colon written %3A, it becomes part of the name of the database or the user.
    if url.count("@") > 1 or set("@:=") & {*(parsed.database or ""), *(parsed.username or "")}:
        return "given"
    secrets = [name for name in parsed.query if name not in _HARMLESS]
    return parsed.difference_update_query(secrets).render_as_string(hide_password=True)


def sqlite_url(path: Path) -> str:
    """Return the URL of an SQLite file."""
    return sqlalchemy.URL.create("sqlite", database=str(path)).render_as_string()


def _is_journal_path(url: str) -> bool:
    # Every URL has a colon, also a mistyped one that contains a password.
    return url.endswith(_JOURNAL_SUFFIXES) and ":" not in url
