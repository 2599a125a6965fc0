"""The storage, the run dir and the data dir of a study, from options, environment variables or defaults.

Only this module reads environment variables for them.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autotune.disk import disk_full
from autotune.errors import DataError, StorageError
from autotune.running.storages import shown_url, sqlite_url
from autotune.study_name import study_folder


@dataclass(frozen=True)
class Places:
    """The storage, the run dir and the data dir.

    Attributes:
        storage: The storage's URL.
        run_dir: The folder with the files of studies, absolute.
        data_dir: The folder in which datasets are looked for first, absolute; None for Keras's own cache.
        is_run_dir_given: Whether the run dir was given, or contains the storage; False if only the storage was given.
    """

    storage: str
    run_dir: Path
    data_dir: Path | None
    is_run_dir_given: bool = True

    def study_folder(self, name: str) -> Path:
        """Return the folder of the study `name` in the run dir.

        Raises:
            UsageError: If the name is invalid, or something else has the folder's name.
        """
        return study_folder(self.run_dir, name)

    def shown_storage(self) -> str:
        """Return the storage's URL without its password."""
        return shown_url(self.storage)


def find_places(
    storage: str | None = None,
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Places:
    """Return the places that are given; for others, those in `OPTUNA_STORAGE`, `AUTOTUNE_RUN_DIR`, `AUTOTUNE_DATA`.

    If these are not set either, the defaults are a database in the run dir, `runs`, and Keras's own cache.

    Args:
        storage: A storage's URL.
        run_dir: The folder for files.
        data_dir: The folder with data.
        environment: Environment variables.

    Raises:
        DataError: If the data dir is given but is not a folder.
    """
    url = storage or environment.get("OPTUNA_STORAGE") or None
    named = run_dir or environment.get("AUTOTUNE_RUN_DIR")
    folder = Path(named or "runs").absolute()
    is_given = bool(named) or url is None  # the default database lies in the run dir and belongs to it
    url = url or sqlite_url(folder / "autotune.db")
    data = data_dir or environment.get("AUTOTUNE_DATA") or None
    if data is not None and not Path(data).is_dir():
        raise DataError(
            f"the data dir {data} is not a folder.",
            "It must be a folder with datasets in their official layout, e.g. mnist.npz.",
            "Correct --data-dir or AUTOTUNE_DATA, or remove it to use Keras's own cache.",
        )
    return Places(url, folder, Path(data).absolute() if data else None, is_given)


def options_of_places(storage: str | None, run_dir: str | Path | None) -> str:
    """Return the options of a command that finds the same studies, e.g. " --run-dir DIR"; "" for the usual places.

    Args:
        storage: As in `find_places`; a password is not shown.
        run_dir: As in `find_places`.
    """
    given = {"--storage": shown_url(storage) if storage else None, "--run-dir": run_dir}
    return "".join(f" {name} {shlex.quote(str(value))}" for name, value in given.items() if value)


def records_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of this user's records of study files; None if neither `XDG_STATE_HOME` nor `HOME` is set.

    Args:
        environment: Environment variables.
    """
    state = Path(environment.get("XDG_STATE_HOME") or "")
    if not state.is_absolute():  # the XDG base directory specification says to ignore relative paths
        home = Path(environment.get("HOME") or "")
        if not home.is_absolute():
            return None
        state = home / ".local" / "state"
    return state / "autotune" / "study_files"


def ray_address(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the address of the Ray cluster in `RAY_ADDRESS`; None if it is not set."""
    return environment.get("RAY_ADDRESS") or None


def make_writable(folder: Path) -> None:
    """Create `folder` and check that files can be written in it.

    Raises:
        DiskFullError: If its disk is full.
        StorageError: If files cannot be written for another reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
    except OSError as error:
        if full := disk_full(error, folder):
            raise full from error
        raise StorageError(
            f"the run dir {folder} cannot be written: {error.strerror}.",
            "The run dir is for the database, checkpoints, logs and models of your studies.",
            "Choose another with --run-dir or AUTOTUNE_RUN_DIR, or change its permissions.",
        ) from error
