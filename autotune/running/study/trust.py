"""Which study files this user has run on this machine: what else a storage names is not run unasked.

A study is gone on with by its name, and the storage says which file that is; whoever may write to the storage could
name any. What is covered: the file itself, by its digest. What is not: what it imports, and what changes after it was
looked at. A record that is lost, garbled, or can be written by others counts for nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from pathlib import Path

from autotune.errors import UsageError
from autotune.running.study.places import records_folder
from autotune.running.study.source import StudySource, study_source

_MOST_BYTES = 2**24  # of a file that somebody writes by hand


class UntrustedFileError(UsageError):
    """A study file that a storage names, and that this user has not run here, or not as it is now.

    Args:
        study_file: The file, absolute.
        digest: Its digest now.
        has_changed: Whether it ran here before, as it was then.
    """

    def __init__(self, study_file: Path, digest: str, has_changed: bool) -> None:
        what = "has changed since it last ran here" if has_changed else "has not run here before"
        super().__init__(
            f"the study file {study_file} {what}.",
            "The storage names it, and whoever can write there could name any: what ran here before is run unasked.\n"
            + _where_kept(),
            "Look at the file. To run it, add --trust (from Python: trust=True), or name it yourself: autotune run "
            "STUDY_FILE --name NAME",
        )
        self.study_file = study_file
        self.digest = digest
        self.has_changed = has_changed


def source_named_by_storage(study_file: str, name: str, trust: bool) -> StudySource:
    """Return the code of a study by the study file that it remembers, which has to have run here as it is.

    Args:
        study_file: What the storage says.
        name: The study's name.
        trust: Whether it may be run in any case.

    Raises:
        UntrustedFileError: If it has not run here, or has changed since.
        UsageError: If it is no longer there.
        StudyFileError: If it cannot be read or is not Python.
    """
    if not Path(study_file).is_file():  # nor a device, which is read without an end
        raise UsageError(
            f"the study file {study_file} is no longer there.",
            f"The study {name!r} was started from it.",
            f"Put it back, or name where it is now: autotune run STUDY_FILE --name {name}",
        )
    path = Path(study_file).absolute()
    digest = _digest_of(
        path
    )  # before it is parsed: that alone may take all memory, and a mistake is shown with its line
    before = None if trust else _recorded(path)
    if not trust and before != digest:
        raise UntrustedFileError(path, digest, has_changed=before is not None)
    source = study_source(path)
    record_trust(path, digest)
    return source


def _digest_of(study_file: Path) -> str:
    """Return the digest of a study file, as `StudySource` has it, and read no more than such a file can have.

    Raises:
        UsageError: If it is larger, or cannot be read.
    """
    try:
        with study_file.open("rb") as file:
            code = file.read(_MOST_BYTES + 1)
        why = f"has more than {_MOST_BYTES:,} bytes" if len(code) > _MOST_BYTES else ""
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    if why:
        raise UsageError(
            f"the study file {study_file} {why}.",
            "The storage names it. A study file is a Python file that declares `study = StudySpec(...)`.",
            "Name the right one: autotune run STUDY_FILE --name NAME",
        )
    return hashlib.sha256(code).hexdigest()


def record_trust(study_file: Path, digest: str) -> bool:
    """Remember that the user has this study file run; say whether that could be written down.

    Args:
        study_file: The study file, absolute.
        digest: Its digest, as `StudySource` has it.
    """
    folder = records_folder()
    if folder is None:
        return False
    if _recorded(study_file) == digest:
        return True
    record = _record(folder, study_file)
    beside = record.with_name(f"{uuid.uuid4().hex}.tmp")
    content = json.dumps({"study_file": str(study_file), "digest": digest})
    try:  # who cannot write there is asked again, or says --trust
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
        os.replace(beside, record)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        return False
    return True


def _recorded(study_file: Path) -> str | None:
    """Return the digest of a study file when it last ran here; None if it has not."""
    folder = records_folder()
    if folder is None:
        return None
    try:
        with _record(folder, study_file).open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & 0o022 or (hasattr(os, "geteuid") and status.st_uid != os.geteuid()):
                return None  # somebody else's, or anybody's
            kept = json.loads(file.read())
    except (OSError, ValueError):
        return None
    is_of_it = isinstance(kept, dict) and kept.get("study_file") == str(study_file)
    return kept["digest"] if is_of_it and isinstance(kept.get("digest"), str) else None


def _record(folder: Path, study_file: Path) -> Path:
    name = hashlib.sha256(os.fsencode(study_file)).hexdigest()
    return folder / f"{name}.json"


def _where_kept() -> str:
    folder = records_folder()
    if folder is None:
        return "That cannot be remembered here: there is no home folder (HOME, or XDG_STATE_HOME)."
    nearest = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    cannot = "" if nearest.is_dir() and os.access(nearest, os.W_OK) else ", which cannot be written"
    return f"That is remembered in {folder}{cannot}."
