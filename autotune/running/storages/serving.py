"""Optuna's gRPC proxy in front of a storage: machines that cannot reach the storage itself use the proxy's URL.

What is covered: databases, also SQLite files. A proxy can be started again after a crash; its clients wait for it and
go on. What is not covered: authentication (everybody who reaches the port can read and write all studies), and deleting
a study of an SQLite file while it is served: SQLite gives its id to the next study, but Optuna's caches still contain
the deleted one.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import optuna
import sqlalchemy

from autotune.distribution import install_command
from autotune.errors import StorageError, StoredStudyError, UsageError
from autotune.optuna_inside import id_of_study
from autotune.running.storages.opening import open_storage
from autotune.running.storages.url import parse_url, shown_url, storage_file

_THREADS = 128  # each holds one request, which may wait for the database: eight parents of sixteen slots


def serve_storage(url: str, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve the storage at `url` until the process is told to end.

    Args:
        url: The storage's URL, like that of `open_storage`.
        host: The address to listen on: 127.0.0.1 for this machine only, 0.0.0.0 for all its networks.
        port: The port; 0 for any free one.
        announce: Called with the proxy's URL once it answers.

    Raises:
        UsageError: If the port cannot be used, or Optuna's proxy cannot serve such a storage.
    """
    refuse_unservable(url)
    with proxy(open_storage(url), host, port) as proxy_url:
        announce(proxy_url)
        threading.Event().wait()


def refuse_unservable(url: str) -> None:
    """Check that Optuna's proxy can serve a storage.

    Raises:
        StorageError: If it cannot.
    """
    with contextlib.suppress(sqlalchemy.exc.ArgumentError):  # opening it raises an error that says what is wrong
        parsed = parse_url(url)
        kind = parsed.get_backend_name()
        if kind == "journal":
            raise _unservable(url, "With a journal file, Optuna's proxy lets two slots claim the same trial.")
        if kind == "grpc":
            raise _unservable(url, "It is a proxy itself: use its URL directly.")
        if kind == "sqlite" and storage_file(parsed) is None:
            raise _unservable(url, "It is in memory and would be lost at the end of the proxy.")


def _unservable(url: str, why: str) -> StorageError:
    return StorageError(
        f"the storage {shown_url(url)} cannot be served. {why}",
        "A proxy can serve a database: PostgreSQL, MySQL, or an SQLite file on this machine.",
        "Give one with --storage, e.g. --storage sqlite:///runs/autotune.db",
    )


@contextlib.contextmanager
def proxy(storage: optuna.storages.BaseStorage, host: str, port: int) -> Iterator[str]:
    """Serve `storage` during the block; yields the proxy's URL.

    Raises:
        UsageError: If the port cannot be used, or a package is missing.
    """
    try:
        import grpc
        from optuna.storages._grpc.auto_generated import api_pb2_grpc
        from optuna.storages._grpc.servicer import OptunaStorageProxyService
    except ImportError as error:
        raise UsageError(
            f"storages cannot be served: there is no package {error.name or error}.",
            "Optuna's proxy needs grpcio and protobuf.",
            install_command("grpc"),
        ) from error
    _remember_all_trials(storage)
    # Optuna's `make_server` does not return the port, and would share it with another server on the same port.
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=[("grpc.so_reuseport", 0)])
    add_to_server: Any = api_pb2_grpc.add_StorageServiceServicer_to_server  # generated code has no types
    add_to_server(OptunaStorageProxyService(storage), server)
    bound = _bind(server, host, port)
    server.start()
    try:
        yield f"grpc://{socket.gethostname() if host in ('0.0.0.0', '::') else _bracketed(host)}:{bound}"
    finally:
        server.stop(grace=None).wait()


def _remember_all_trials(storage: optuna.storages.BaseStorage) -> None:
    """Fill Optuna's cache, because clients may write to trials that they know from an earlier proxy."""
    for study in storage.get_all_studies():
        with contextlib.suppress(StoredStudyError):  # a client that reads this study gets the error
            storage.get_all_trials(id_of_study(study), deepcopy=False)


def _bind(server: Any, host: str, port: int) -> int:
    try:
        # Try it with a socket first: gRPC does not say what is wrong, and changes a port that is too large.
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
        bound: int = server.add_insecure_port(f"{_bracketed(host)}:{port}")
    except (OSError, OverflowError, RuntimeError) as error:
        raise UsageError(
            f"{host}:{port} cannot be used: {getattr(error, 'strerror', None) or error}.",
            "The proxy needs an address of this machine and a free port.",
            f"Choose another: autotune serve --port {port + 1 if 0 < port < 65535 else 13000}",
        ) from error
    return bound


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
