"""One artifact store for the dashboard, which uses the store of the study that a request is about.

optuna-dashboard has only one store, and gives it the identifier of an artifact but not of its study. The study is part
of the requested address, which `tell_study` reads before the dashboard answers.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, BinaryIO, TypeAlias

from bottle import HTTPError  # what optuna-dashboard is made with, and answers with
from optuna.artifacts.exceptions import ArtifactNotFound

from autotune.training.checkpoints import ArtifactStore

# As WSGI has it: the environment of a request and a function that begins the answer give the answer's parts.
WsgiApp: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_ADDRESS = re.compile(r"/(?:api/)?(?:artifacts|studies)/(\d+)(?:/|$)")
_ARTIFACT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)  # as Optuna makes them
_study_id: ContextVar[int | None] = ContextVar("study_id", default=None)


class StudiesArtifacts:
    """An artifact store, as Optuna has them, that is that of the study whose page is asked for.

    What a person uploads on a study's page goes into the store of that study; what is removed there is removed.

    Args:
        store_of: From a study's identifier to its store.

    Raises:
        HTTPError: By `open_reader`, if the file is not there, or on another machine.
    """

    def __init__(self, store_of: Callable[[int], ArtifactStore]) -> None:
        self._store_of = store_of

    def open_reader(self, artifact_id: str) -> BinaryIO:
        try:
            return self._store_with(artifact_id).open_reader(artifact_id)
        except ArtifactNotFound as error:
            raise HTTPError(404, "The file is not there.") from error

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        self._store_with(artifact_id).write(artifact_id, content_body)

    def remove(self, artifact_id: str) -> None:
        with contextlib.suppress(ArtifactNotFound):  # else a study of which a file is missing could not be deleted
            self._store_with(artifact_id).remove(artifact_id)

    def _store_with(self, artifact_id: str) -> ArtifactStore:
        study_id = _study_id.get()
        if study_id is None or _ARTIFACT_ID.fullmatch(artifact_id) is None:
            raise ArtifactNotFound("no file of a study is asked for")
        return self._store_of(study_id)


def tell_study(app: WsgiApp) -> WsgiApp:
    """Return the dashboard's application, with `StudiesArtifacts` told which study each request is about."""

    def telling(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with _about(environ.get("PATH_INFO", "")):
            return app(environ, start_response)

    return telling


@contextlib.contextmanager
def _about(address: str) -> Iterator[None]:
    found = _ADDRESS.match(address)
    token = _study_id.set(int(found[1]) if found else None)
    try:
        yield
    finally:
        _study_id.reset(token)
