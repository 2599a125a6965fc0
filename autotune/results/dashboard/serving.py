"""Serve optuna-dashboard on a storage and the artifacts of its studies, on this machine only."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
import optuna_dashboard

from autotune.errors import StoredStudyError, UsageError
from autotune.escaping import one_line
from autotune.optuna_inside import id_of_study
from autotune.results.dashboard.artifacts import StudiesArtifacts, WsgiApp, tell_study
from autotune.results.dashboard.few_curves import FewCurves, with_early_trials
from autotune.results.dashboard.guard import guarded
from autotune.running.planning import study_names
from autotune.running.study import ATTRIBUTE, StudySettings, settings_from
from autotune.running.tracking import artifacts_to_look_at, is_left_out
from autotune.training.checkpoints import ArtifactStore

_HOST = "127.0.0.1"  # the dashboard has no authentication
_READ_AHEAD_S = 5.0  # at most, before the page is announced; it goes on behind it


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return None


def dashboard_app(storage: optuna.storages.BaseStorage, run_dir: Path, artifacts: Collection[str] = ()) -> WsgiApp:
    """Return the dashboard as a WSGI application.

    Args:
        storage: What to show.
        run_dir: Where studies keep their files, whatever the storage says.
        artifacts: The URLs of artifact stores outside of it that may be opened, as `store_url` returns them.
    """

    def store_of(study_id: int) -> ArtifactStore:
        name = storage.get_study_name_from_id(study_id)
        return artifacts_to_look_at(run_dir, name, _settings(storage, study_id), artifacts)

    logging.getLogger("optuna_dashboard._bottle_util").addFilter(_first_line)
    app = optuna_dashboard.wsgi(FewCurves(storage), artifact_store=StudiesArtifacts(store_of))
    return guarded(with_early_trials(tell_study(app)))


def _first_line(record: logging.LogRecord) -> bool:
    """Have what went wrong while a page was made said in one line, without the traceback that the dashboard adds."""
    record.msg, record.args = one_line(record.getMessage().partition("\n")[0]), ()
    return True


def studies_left_out(storage: optuna.storages.BaseStorage) -> list[str]:
    """Return the names of the studies that cannot be understood, and are not shown."""
    shown = {study.study_name for study in storage.get_all_studies()}
    return [name for name in study_names(storage) if name not in shown]


def stores_left_out(
    storage: optuna.storages.BaseStorage, run_dir: Path, artifacts: Collection[str] = ()
) -> dict[str, str]:
    """Return the artifact stores that studies name and that are not opened, each with the name of a study."""
    found: dict[str, str] = {}
    for study in storage.get_all_studies():
        settings = _settings(storage, id_of_study(study))
        url = settings.artifacts if settings else None
        if url is not None and is_left_out(run_dir, url, artifacts):
            found.setdefault(url, study.study_name)
    return found


def _settings(storage: optuna.storages.BaseStorage, study_id: int) -> StudySettings | None:
    with contextlib.suppress(StoredStudyError):  # anybody may have written there: then nothing is known of the study
        return settings_from(storage.get_study_user_attrs(study_id).get(ATTRIBUTE))
    return None


def serve_dashboard(
    storage: optuna.storages.BaseStorage,
    run_dir: Path,
    port: int,
    announce: Callable[[str], None],
    artifacts: Collection[str] = (),
) -> None:
    """Serve the dashboard until the process is told to end.

    Args:
        storage: What to show.
        run_dir: As in `dashboard_app`.
        port: The port on 127.0.0.1; 0 for any that is free.
        announce: Called with the page's address once it answers.
        artifacts: As in `dashboard_app`.

    Raises:
        UsageError: If the port cannot be used.
    """
    app = dashboard_app(storage, run_dir, artifacts)
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
            with contextlib.suppress(StoredStudyError):
                storage.get_all_trials(id_of_study(study), deepcopy=False)
