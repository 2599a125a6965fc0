"""optuna-dashboard on a storage and the artifacts of its studies, for this machine only."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
import optuna_dashboard

from autotune.errors import UsageError
from autotune.results.dashboard_curves import FewCurves, with_early_trials
from autotune.results.dashboard_store import StudiesArtifacts, WsgiApp, tell_study
from autotune.running.settings import ATTRIBUTE, settings_from
from autotune.running.trial_artifacts import artifact_store
from autotune.training.artifacts import ArtifactStore

_HOST = "127.0.0.1"  # the dashboard has no authentication
_READ_AHEAD_S = 5.0  # at most, before the page is announced; it goes on behind it


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return None


def dashboard_app(storage: optuna.storages.BaseStorage, run_dir_of: Callable[[str | None], Path]) -> WsgiApp:
    """Return the dashboard as a WSGI application.

    Args:
        storage: What to show.
        run_dir_of: From the run dir that a study remembers, None if it remembers none, to where its files are.
    """

    def store_of(study_id: int) -> ArtifactStore:
        settings = settings_from(storage.get_study_user_attrs(study_id).get(ATTRIBUTE))
        name = storage.get_study_name_from_id(study_id)
        return artifact_store(run_dir_of(settings.run_dir if settings else None) / name, settings)

    app = optuna_dashboard.wsgi(FewCurves(storage), artifact_store=StudiesArtifacts(store_of))
    return with_early_trials(tell_study(app))


def serve_dashboard(
    storage: optuna.storages.BaseStorage,
    run_dir_of: Callable[[str | None], Path],
    port: int,
    announce: Callable[[str], None],
) -> None:
    """Serve the dashboard until the process is told to end.

    Args:
        storage: What to show.
        run_dir_of: From the run dir that a study remembers to where its files are.
        port: The port on 127.0.0.1; 0 for any that is free.
        announce: Called with the page's address once it answers.

    Raises:
        UsageError: If the port cannot be used.
    """
    app = dashboard_app(storage, run_dir_of)
    try:
        server = make_server(_HOST, port, app, server_class=_Server, handler_class=_QuietHandler)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"port {port} cannot be used: {getattr(error, 'strerror', None) or error}.",
            "The dashboard needs a free port of this machine.",
            f"Choose another: autotune dashboard --port {port + 1 if 0 < port < 65535 else 8080}",
        ) from error
    reading = threading.Thread(target=_read_ahead, args=(storage,), name="autotune-read-ahead", daemon=True)
    reading.start()
    reading.join(_READ_AHEAD_S)
    with server:
        announce(f"http://{_HOST}:{server.server_port}/")
        server.serve_forever()


def _read_ahead(storage: optuna.storages.BaseStorage) -> None:
    """Read all trials, of which storages keep the finished ones: seconds that the first page need not wait for."""
    with contextlib.suppress(Exception):  # whoever asks for a page is told
        for study in storage.get_all_studies():
            storage.get_all_trials(study._study_id, deepcopy=False)
