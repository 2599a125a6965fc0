"""Fixtures that every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres_server import NoPostgresError, PostgresServer  # scripts/postgres_server.py


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Give the folder of downloaded datasets, or skip the test where there is none."""
    beside_the_repository = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AUTOTUNE_DATA") or beside_the_repository).resolve()
    if not folder.is_dir():
        pytest.skip(f"no folder of datasets at {folder}; name one in AUTOTUNE_DATA")
    return folder


@pytest.fixture(scope="session")
def _postgres_of_the_session() -> Iterator[PostgresServer]:
    pytest.importorskip("psycopg", reason="no PostgreSQL driver: install the extra postgres")
    try:
        server = PostgresServer()
    except NoPostgresError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture
def postgres(_postgres_of_the_session: PostgresServer) -> Iterator[PostgresServer]:
    """Give a running PostgreSQL, the same for all tests; it may be stopped, and runs again for the next test."""
    yield _postgres_of_the_session
    _postgres_of_the_session.start()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """Give the URL of a new, empty database on a real PostgreSQL."""
    return postgres.new_database()


@pytest.fixture
def served() -> Iterator[Callable[[str], str]]:
    """Give a function that serves a storage over gRPC, in this process, and returns the proxy's URL."""
    from contextlib import ExitStack

    pytest.importorskip("grpc", reason="no gRPC: install the extra grpc")
    from autotune.running.serving import proxy
    from autotune.running.storage import open_storage

    with ExitStack() as stack:
        yield lambda url: stack.enter_context(proxy(open_storage(url), "127.0.0.1", 0))
