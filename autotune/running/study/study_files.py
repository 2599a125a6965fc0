"""Where the files of a stored study are, and when a storage is believed about that.

A study remembers its run dir, and whoever may write to the storage may write any folder there: somebody else's, or one
that leads elsewhere by links. So that folder is gone to only if a run has left the study's token in it on this machine,
in a file of this user's own. Any other run dir has to be given, by an option or in the environment.
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

# A line for each token of a study that has run here (two storages may know one of the same name), and for each place
# elsewhere that was given for it, as SETTING=PLACE.
_TOKENS = "tokens.txt"
_NOT_FOLLOWING = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # nor is a pipe waited for
_BUCKET = re.compile(r"(?:s3|gs)://")


def leave_token(folder: Path, token: str) -> None:
    """Leave the token of a study that is about to run in its folder, `RUN_DIR/NAME`; the folder is made when missing.

    Raises:
        OSError: If the disk is full, or the folder cannot be written.
        StorageError: If there is a link, or something that is no file, in the place of its list.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if token not in _tokens(folder):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NOT_FOLLOWING
        if (folder / _TOKENS).is_symlink() or ((folder / _TOKENS).exists() and not (folder / _TOKENS).is_file()):
            raise StorageError(
                f"{folder / _TOKENS} is no file.",
                "In it stands which studies have run in this folder.",
                "Delete it, and ask who has put it there.",
            )
        with os.fdopen(os.open(folder / _TOKENS, flags, 0o644), "w") as file:
            file.write(f"{token}\n")


def refuse_elsewhere(name: str, folder: Path, settings: StudySettings | None, given: Mapping[str, str | None]) -> None:
    """Refuse to write to a place outside the run dir that only the storage names.

    What is covered: folders, databases, and servers of MLflow, whose client sends them this user's password. What is
    not: buckets, whose owner decides who may write there.

    Args:
        name: The study's name.
        folder: Its folder, `RUN_DIR/NAME`.
        settings: What it remembers; None for nothing.
        given: By the name of each setting that may be a place, what this command says of it; None for nothing.

    Raises:
        UsageError: If that place was never given for this study here.
    """
    for setting in [setting for setting, said in given.items() if said is None and settings is not None]:
        if (place := _only_stored(folder, setting, settings)) is not None:
            raise UsageError(
                f"the storage says that {name!r} writes to {place} ({setting}), which nobody has said here.",
                "Whoever may write to a storage may write any place there.",
                f"Name it yourself, in `autotune resume {shlex.quote(name)}`: --{setting} {shlex.quote(place)}; or\n"
                f"leave it out: --{setting} none.",
            )


def leave_elsewhere(folder: Path, settings: StudySettings, given: Mapping[str, str | None]) -> None:
    """Note that places outside the run dir were given for a study, so that it may go on writing there.

    Raises:
        OSError: If the disk is full, or the folder cannot be written.
    """
    for setting in [setting for setting, said in given.items() if said is not None]:
        if place := _elsewhere(folder, setting, settings):
            leave_token(folder, f"{setting}={place}")


def is_store_of_here(folder: Path, settings: StudySettings) -> bool:
    """Tell whether a study has run in a folder here, with the artifact store that its storage names."""
    return is_known_here(folder, settings.token) and _only_stored(folder, "artifacts", settings) is None


def _only_stored(folder: Path, setting: str, settings: StudySettings | None) -> str | None:
    """Return the place elsewhere that a setting names, if it was never given for the study here; else None."""
    place = _elsewhere(folder, setting, settings)
    return None if place is None or f"{setting}={place}" in _tokens(folder) else place


def _elsewhere(folder: Path, setting: str, settings: StudySettings | None) -> str | None:
    """Return the place that a setting names outside a study's folder; None for a bucket, a place inside, or nothing."""
    place: str | None = getattr(settings, setting)
    if place is None or (setting, place) == ("tensorboard", IN_RUN_DIR):
        return None
    if setting == "artifacts" and _BUCKET.match(place):
        return None
    path = os.path.normpath(place.removeprefix("sqlite:///"))  # what lies inside by its letters may lead out again
    return None if os.path.isabs(path) and Path(path).is_relative_to(folder) else place


def is_known_here(folder: Path, token: str) -> bool:
    """Tell whether a study has run in a folder, on this machine and by this user."""
    return bool(token) and token in _tokens(folder)


def folder_to_look_at(name: str, settings: StudySettings | None, places: Places | None = None) -> Path | None:
    """Return the folder of a study; None where only its storage says which that is.

    Args:
        name: The study's name.
        settings: What it remembers; None if it was never run by this package.
        places: Where studies are looked for; None for where it has run.

    Raises:
        UsageError: If no study can have that name, or there is something else in the folder's place.
    """
    if settings is None:
        return None
    if places is not None and (places.is_run_dir_given or places.run_dir == Path(settings.run_dir)):
        return places.study_folder(name)
    remembered = study_folder(Path(settings.run_dir), name)
    return remembered if is_known_here(remembered, settings.token) else None


def places_of_study(name: str, settings: StudySettings | None, places: Places) -> Places:
    """Return where a stored study has its files, to read and to write them.

    Args:
        name: The study's name.
        settings: What it remembers; None if it was never run by this package.
        places: Where studies are looked for.

    Raises:
        UsageError: If only its storage says where they are.
    """
    if settings is None:
        return places
    folder = folder_to_look_at(name, settings, places)
    if folder is None:
        raise UsageError(
            f"the storage says that the files of {name!r} are in {settings.run_dir}, where you have not run it.",
            "Whoever may write to a storage may write any folder there: files are read and written only where you\n"
            "have run the study on this machine, or where you say.",
            "Name the run dir: --run-dir DIR or AUTOTUNE_RUN_DIR.",
        )
    return dataclasses.replace(places, run_dir=folder.parent)


def _tokens(folder: Path) -> list[str]:
    """Return the tokens in a folder that are this user's word."""
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
