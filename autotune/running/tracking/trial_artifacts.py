"""The pictures, tables and logs of trials in the artifact store of their study."""

from __future__ import annotations

import contextlib
import json
import mimetypes
import re
import shutil
import threading
import uuid
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from autotune.disk import disk_full
from autotune.optuna_inside import id_of, stored
from autotune.parsing import parsed, parsed_or_none
from autotune.running.study import StudySettings, folder_to_look_at, is_store_of_here, read_settings
from autotune.running.tracking.events import Note, Observer
from autotune.search.history import COPY_OF
from autotune.training.checkpoints import (
    ArtifactStore,
    FolderBelow,
    StoresInTurn,
    TrialFolder,
    open_store,
    reason,
    trial_folder,
)
from autotune.training.outputs import HISTORY

_PREFIX = "artifacts:"  # the prefix of the attributes in which Optuna and optuna-dashboard note a trial's artifacts
_MOST_LOG_BYTES = 256 * 1024
_MOST_BYTES = 2**26  # of an artifact that is read; those of trials are far smaller
_MIME_TYPES = {".json": "application/json", ".png": "image/png", ".txt": "text/plain"}
_HISTORY: Any = list[dict[str, list[float]]]
_ARTIFACT_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")  # Optuna's have the form of a UUID


@dataclass(frozen=True)
class _Meta:
    """Optuna's record of an artifact: its identifier in the store, and its file name."""

    artifact_id: str
    filename: str

    def __post_init__(self) -> None:
        if not _ARTIFACT_ID.fullmatch(self.artifact_id):
            raise ValueError("the identifier is not one of Optuna's")
        if set(self.filename) & set("/\\") or self.filename.startswith(".") or not self.filename:
            raise ValueError("the name is not a file name")


def checkpoints_url(name: str, settings: StudySettings) -> str | None:
    """Return the URL to which the study `name` copies its checkpoints; None if it does not copy them."""
    return f"{settings.artifacts}/{name}/{settings.token}" if settings.artifacts else None


def artifact_store(folder: Path, settings: StudySettings | None) -> ArtifactStore:
    """Return the store of a study's artifacts: the store of its checkpoints, else its folder.

    Artifacts that the study has stored in its folder, before it began to copy checkpoints, are found, too.

    Args:
        folder: The study's folder, `RUN_DIR/NAME`.
        settings: Its stored settings; None if this package has never run it.

    Raises:
        ImportError: If the store's package is not installed.
    """
    here = open_store(str(folder / "artifacts"))
    elsewhere = checkpoints_url(folder.name, settings) if settings else None
    return StoresInTurn(open_store(f"{elsewhere}/artifacts"), here) if elsewhere else here


def artifacts_to_look_at(
    run_dir: Path, name: str, settings: StudySettings | None, trusted: Collection[str] = ()
) -> ArtifactStore:
    """Return the store of a study's artifacts for reading, without trusting the settings in the storage.

    The store is below the run dir, or one of the trusted stores. It does not follow links.

    Args:
        run_dir: The run dir.
        name: The study's name.
        settings: Its stored settings; None if this package has never run it.
        trusted: The URLs of stores that may be opened, from `store_url`.
    """
    here = FolderBelow(run_dir, name, "artifacts")
    if settings is None or (url := settings.artifacts) is None or is_left_out(run_dir, url, trusted):
        return here
    parts = (name, settings.token, "artifacts")
    if "://" in url:
        return StoresInTurn(open_store("/".join((url, *parts))), here)
    root, inside = (Path(url), ()) if url in trusted else (run_dir, Path(url).relative_to(run_dir).parts)
    return StoresInTurn(FolderBelow(root, *inside, *parts), here)


def is_left_out(run_dir: Path, url: str, trusted: Collection[str]) -> bool:
    """Tell whether a store that a storage names must not be opened: it is neither below the run dir nor trusted."""
    return url not in trusted and ("://" in url or not Path(url).is_relative_to(run_dir))


@dataclass
class TrialArtifacts:
    """Moves the pictures, tables and logs of trials into the artifact store of their study; thread-safe.

    Attributes:
        store: The store.
        observer: Receives one note if that fails. No trial fails then, and the files stay in the trial's folder.
    """

    store: ArtifactStore
    observer: Observer
    _has_told: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def leave(self, trial: optuna.Trial, folder: TrialFolder) -> None:
        """Move the files of a trial into the store. Call this before Optuna is told how the trial ended.

        If the parent dies in between, the trial's next end replaces the files.

        Raises:
            DiskFullError: If the disk is full.
        """
        if not folder.shown.is_dir():
            return
        from optuna.artifacts import ArtifactMeta  # imports boto3 if it is installed

        known = _artifact_ids(stored(trial))
        for path in sorted(folder.shown.iterdir()):
            artifact_id = known.get(path.name) or str(uuid.uuid4())
            # Write the file before its record, so that there is no record of a missing file.
            if not self._is_written(artifact_id, path):
                return
            if path.name not in known:
                meta = ArtifactMeta(artifact_id, path.name, _mime_type(path), None)
                trial.storage.set_trial_system_attr(id_of(trial), _PREFIX + artifact_id, json.dumps(asdict(meta)))
        shutil.rmtree(folder.shown, ignore_errors=True)

    def _is_written(self, artifact_id: str, path: Path) -> bool:
        try:
            with path.open("rb") as content:
                self.store.write(artifact_id, content)
        except Exception as error:  # the store's client may raise any error, but the trial itself can go on
            if full := disk_full(error, path.parent):
                raise full from error
            self._tell(error)
            return False
        return True

    def _tell(self, error: Exception) -> None:
        with self._lock:
            is_first, self._has_told = not self._has_told, True
        if is_first:
            problem = f"curves and logs cannot be put into the artifact store ({reason(error)})"
            self.observer(Note(None, f"{problem}; they stay in the trials' folders"))


def leave_log(folder: TrialFolder) -> None:
    """Copy the end of the log of a failed trial to the files for the artifact store.

    Raises:
        OSError: If the disk is full.
    """
    with contextlib.suppress(FileNotFoundError), folder.log.open("rb") as log:
        log.seek(max(0, folder.log.stat().st_size - _MOST_LOG_BYTES))
        end = log.read()
        folder.shown.mkdir(parents=True, exist_ok=True)
        (folder.shown / folder.log.name).write_bytes(end)


def read_history(
    study: optuna.Study, trial: FrozenTrial, folder: Path | None = None
) -> list[dict[str, list[float]]] | None:
    """Return every metric that Keras reported of a finished trial: for each fold, a value for each epoch.

    Args:
        study: The study.
        trial: One of its trials. For a copy, this returns the history of the original trial.
        folder: The study's folder, `RUN_DIR/NAME`, if it is not in the stored run dir.

    Returns:
        The history; None if there is none: for a plain objective, for a trial that failed in its first epoch or was
        lost together with its parent, or if its files are not on this machine.
    """
    if (original := parsed_or_none(int, trial.user_attrs.get(COPY_OF))) is not None:
        trial = next((one for one in study.get_trials(deepcopy=False) if one.number == original), trial)
    settings = read_settings(study)
    folder = folder or folder_to_look_at(study.study_name, settings)
    if folder is None:
        return None
    trusted = [settings.artifacts] if settings and settings.artifacts and is_store_of_here(folder, settings) else []
    content = _read(artifacts_to_look_at(folder.parent, folder.name, settings, trusted), trial, HISTORY)
    if content is None:  # the store was unreachable when the trial ended
        with contextlib.suppress(OSError):
            content = (trial_folder(folder, trial.number).shown / HISTORY).read_bytes()
    try:
        return None if content is None else parsed(_HISTORY, json.loads(content))
    except (ValueError, RecursionError):
        return None


def read_artifacts(store: ArtifactStore, trial: FrozenTrial) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of a trial's artifacts, without missing ones."""
    for name in _artifact_ids(trial):
        if (content := _read(store, trial, name)) is not None:
            yield name, content


def _read(store: ArtifactStore, trial: FrozenTrial, name: str) -> bytes | None:
    from optuna.artifacts.exceptions import ArtifactNotFound

    artifact_id = _artifact_ids(trial).get(name)
    if artifact_id is None:
        return None
    try:
        with contextlib.closing(store.open_reader(artifact_id)) as content:
            found = content.read(_MOST_BYTES + 1)
            return found if len(found) <= _MOST_BYTES else None
    except ArtifactNotFound:
        return None


def _artifact_ids(trial: FrozenTrial) -> dict[str, str]:
    """Return the identifiers of a trial's artifacts by their file names."""
    noted = [_read_meta(value) for key, value in trial.system_attrs.items() if key.startswith(_PREFIX)]
    return {meta.filename: meta.artifact_id for meta in noted if meta is not None}


def _read_meta(stored: Any) -> _Meta | None:
    """Return the record of an artifact; None if a person has removed it, or it is invalid."""
    try:
        return parsed(_Meta, json.loads(stored))
    except (ValueError, TypeError, RecursionError):
        return None


def _mime_type(path: Path) -> str:
    return _MIME_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
