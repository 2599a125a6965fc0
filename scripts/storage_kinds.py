"""A new storage of each kind, for drills and benchmarks."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from postgres_server import NoPostgresError, PostgresServer

KINDS = ("sqlite", "postgresql", "journal", "grpc")


@contextlib.contextmanager
def new_storage(kind: str, folder: Path) -> Iterator[str]:
    """Give the URL of a new storage, with whatever server it needs running meanwhile.

    Args:
        kind: One of `KINDS`; "grpc" is Optuna's proxy in front of PostgreSQL.
        folder: Where files may be made.
    """
    if kind == "sqlite":
        yield f"sqlite:///{folder}/autotune.db"
    elif kind == "journal":
        yield f"journal:///{folder}/autotune.journal"
    else:
        try:
            server = PostgresServer()
        except NoPostgresError as error:
            raise SystemExit(f"{error}; choose another storage") from None
        with server, _proxy(server.new_database(), needed=kind == "grpc") as url:
            yield url


@contextlib.contextmanager
def _proxy(url: str, needed: bool) -> Iterator[str]:
    if not needed:
        yield url
        return
    command = [sys.executable, "-m", "autotune", "serve", "--port", "0", "--storage", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"grpc://[^\s,;)]+", process.stdout.readline())
        try:
            assert found is not None, "the proxy did not start"
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
