"""The folder of a stored study's files, and the check that this user has used it before.

A study stores its run dir. Anybody who may write to the storage can write any folder there, e.g. another user's, or one
with links to other folders. So the stored folder is used only if a run on this machine has written the study's token
into it, in a file that belongs to this user. Any other run dir must be given, by an option or in the environment.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from autotune.errors import StorageError, UsageError
from autotune.running.study.places import Places
from autotune.running.study.settings import IN_RUN_DIR, StudySettings
from autotune.study_name import study_folder

# The file has a line with the token of each study that has run here (two storages may have one of the same name), and
# a line SETTING=PLACE for each place outside the run dir that was given for it.
_TOKENS = "tokens.txt"
_NOT_FOLLOWING = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # and does not wait for a pipe
_BUCKET = re.compile(r"(?:s3|gs)://")


def leave_token(folder: Path, token: str) -> None:
    """Write the token of a study that is about to run into its folder, `RUN_DIR/NAME`, which is created if missing.

    Raises:
        OSError: If the disk is full, or the folder cannot be written.
        StorageError: If a link, or something that is not a file, has the name of the file with tokens.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if token not in _tokens(folder):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NOT_FOLLOWING
        if (folder / _TOKENS).is_symlink() or ((folder / _TOKENS).exists() and not (folder / _TOKENS).is_file()):
            raise StorageError(
                f"{folder / _TOKENS} is no file.",
                "It must be a file that lists the studies that have run in this folder.",
                "Find out who has put it there, and delete it.",
            )
        with os.fdopen(os.open(folder / _TOKENS, flags, 0o644), "w") as file:
            file.write(f"{token}\n")


def refuse_elsewhere(name: str, folder: Path, settings: StudySettings | None, given: Mapping[str, str | None]) -> None:
    """Check that a study does not write to a place outside the run dir that only the storage names.

    What is covered: folders, databases, and MLflow servers, to which the client sends this user's password. What is not
    covered: buckets, whose owner decides who may write there.

    Args:
        name: The study's name.
        folder: Its folder, `RUN_DIR/NAME`.
        settings: Its stored settings; None if there are none.
        given: From each setting that may be a place to the value that this command gives; None if it gives none.

    Raises:
        UsageError: If that place was never given for this study here.
    """
    for setting in [setting for setting, said in given.items() if said is None and settings is not None]:
        if (place := _only_stored(folder, setting, settings)) is not None:
            raise UsageError(
                f"the storage says that {name!r} writes to {place} ({setting}), which was never given here.",
                "Anybody who may write to the storage can name any place there, so you must confirm it once.",
                f"Give it in `autotune resume {shlex.quote(name)}`: --{setting} {shlex.quote(place)}; or\n"
                f"do without it: --{setting} none.",
            )


def leave_elsewhere(folder: Path, settings: StudySettings, given: Mapping[str, str | None]) -> None:
    """Note in the folder which places outside the run dir were given for a study, so that later runs may use them.

    Raises:
        OSError: If the disk is full, or the folder cannot be written.
    """
    for setting in [setting for setting, said in given.items() if said is not None]:
        if place := _elsewhere(folder, setting, settings):
            leave_token(folder, f"{setting}={place}")


def is_store_of_here(folder: Path, settings: StudySettings) -> bool:
    """Tell whether this user has run a study in a folder here, with the artifact store that its storage names."""
    return is_known_here(folder, settings.token) and _only_stored(folder, "artifacts", settings) is None


def _only_stored(folder: Path, setting: str, settings: StudySettings | None) -> str | None:
    """Return the place outside the folder that a setting names, if it was never given here; else None."""
    place = _elsewhere(folder, setting, settings)
    return None if place is None or f"{setting}={place}" in _tokens(folder) else place


def _elsewhere(folder: Path, setting: str, settings: StudySettings | None) -> str | None:
    """Return the place that a setting names outside a study's folder; None for a bucket, a place inside, or nothing."""
    place: str | None = getattr(settings, setting)
    if place is None or (setting, place) == ("tensorboard", IN_RUN_DIR):
        return None
    if setting == "artifacts" and _BUCKET.match(place):
        return None
    path = os.path.normpath(place.removeprefix("sqlite:///"))  # because `..` may lead out of the folder again
    return None if os.path.isabs(path) and Path(path).is_relative_to(folder) else place


def is_known_here(folder: Path, token: str) -> bool:
    """Tell whether this user has run a study in a folder on this machine."""
    return bool(token) and token in _tokens(folder)


def folder_to_look_at(name: str, settings: StudySettings | None, places: Places | None = None) -> Path | None:
    """Return the folder of a study; None if only its storage names it.

    Args:
        name: The study's name.
        settings: Its stored settings; None if this package has never run it.
        places: The places that were given; None to look in the stored run dir.

    Raises:
        UsageError: If the name is invalid, or something else has the folder's name.
    """
    if settings is None:
        return None
    if places is not None and (places.is_run_dir_given or places.run_dir == Path(settings.run_dir)):
        return places.study_folder(name)
    stored = study_folder(Path(settings.run_dir), name)
    return stored if is_known_here(stored, settings.token) else None


def places_of_study(name: str, settings: StudySettings | None, places: Places) -> Places:
    """Return the places of a stored study, with the run dir in which its files may be read and written.

    Args:
        name: The study's name.
        settings: Its stored settings; None if this package has never run it.
        places: The places that were given.

    Raises:
        UsageError: If only its storage names the run dir.
    """
    if settings is None:
        return places
    folder = folder_to_look_at(name, settings, places)
    if folder is None:
        raise UsageError(
            f"the storage says that the files of {name!r} are in {settings.run_dir}, where you have not run it.",
            "Anybody who may write to the storage can name any folder there. So files are read and written only in a\n"
            "folder in which you have run the study on this machine, or which you give.",
            "Give the run dir: --run-dir DIR or AUTOTUNE_RUN_DIR.",
        )
    return dataclasses.replace(places, run_dir=folder.parent)


def _tokens(folder: Path) -> list[str]:
    """Return the lines of the file with tokens, if this user owns the folder and the file."""
    try:
        if not _is_own(folder.lstat()):
            return []
        descriptor = os.open(folder / _TOKENS, os.O_RDONLY | _NOT_FOLLOWING)
        with os.fdopen(descriptor) as file:
            found = os.fstat(descriptor)
            return file.read().splitlines() if _is_own(found) and stat.S_ISREG(found.st_mode) else []
    except (OSError, ValueError):
        return []


def _is_own(found: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
