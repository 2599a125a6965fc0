"""optuna-dashboard on a study's storage, for this machine only."""

from __future__ import annotations

from collections.abc import Callable
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
import optuna_dashboard

from autotune.errors import UsageError

_HOST = "127.0.0.1"  # the dashboard has no authentication


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return None


def serve_dashboard(storage: optuna.storages.BaseStorage, port: int, announce: Callable[[str], None]) -> None:
    """Serve the dashboard until the process is told to end.

    Args:
        storage: What to show.
        port: The port on 127.0.0.1; 0 for any that is free.
        announce: Called with the page's address once it answers.

    Raises:
        UsageError: If the port cannot be used.
    """
    app = optuna_dashboard.wsgi(storage)
    try:
        server = make_server(_HOST, port, app, server_class=_Server, handler_class=_QuietHandler)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"port {port} cannot be used: {getattr(error, 'strerror', None) or error}.",
            "The dashboard needs a free port of this machine.",
            f"Choose another: autotune dashboard --port {port + 1 if 0 < port < 65535 else 8080}",
        ) from error
    with server:
        announce(f"http://{_HOST}:{server.server_port}/")
        server.serve_forever()
