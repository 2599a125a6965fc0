"""The study files that this user has run on this machine: others that a storage names need a confirmation.

`autotune resume` gets a study's name, and the storage names the study file. Anybody who may write to the storage could
name any file. So a file runs without a question only if this user has run it on this machine before.

What is covered: the file itself, by its digest. What is not covered: modules that it imports, and changes after the
check. A record that is lost, damaged, or writable by others is ignored.
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

_MOST_BYTES = 2**24  # far more than a file that a person writes


class UntrustedFileError(UsageError):
    """The storage names a study file that this user has not run here, or that has changed since.

    Args:
        study_file: The file, absolute.
        digest: Its digest now.
        has_changed: Whether this user has run another version of it here.
    """

    def __init__(self, study_file: Path, digest: str, has_changed: bool) -> None:
        what = "has changed since it last ran here" if has_changed else "has not run here before"
        super().__init__(
            f"the study file {study_file} {what}.",
            "The storage names it, and anybody who may write there could name any file. Only files that you have run\n"
            "here before run without a question. " + _where_kept(),
            "Read the file. To run it, add --trust (from Python: trust=True), or give it yourself: autotune run "
            "STUDY_FILE --name NAME",
        )
        self.study_file = study_file
        self.digest = digest
        self.has_changed = has_changed


def source_named_by_storage(study_file: str, name: str, trust: bool) -> StudySource:
    """Return the code of a study from the study file that the storage names.

    Args:
        study_file: The path in the storage.
        name: The study's name.
        trust: Whether to run the file without the check.

    Raises:
        UntrustedFileError: If this user has not run the file here, or it has changed since.
        UsageError: If the file does not exist any more.
        StudyFileError: If it cannot be read or is not Python.
    """
    if not Path(study_file).is_file():  # reading a device might never end
        raise UsageError(
            f"the study file {study_file} is no longer there.",
            f"The study {name!r} was started from it.",
            f"Put it back, or give its new path: autotune run STUDY_FILE --name {name}",
        )
    path = Path(study_file).absolute()
    # Check the digest before parsing, which may use up all memory, and shows lines of the file in errors.
    digest = _digest_of(path)
    before = None if trust else _recorded(path)
    if not trust and before != digest:
        raise UntrustedFileError(path, digest, has_changed=before is not None)
    source = study_source(path)
    record_trust(path, digest)
    return source


def _digest_of(study_file: Path) -> str:
    """Return the same digest as `StudySource.digest`, reading no more than `_MOST_BYTES`.

    Raises:
        UsageError: If the file is larger, or cannot be read.
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
            "Give the right one: autotune run STUDY_FILE --name NAME",
        )
    return hashlib.sha256(code).hexdigest()


def record_trust(study_file: Path, digest: str) -> bool:
    """Record that this user runs this study file.

    Args:
        study_file: The study file, absolute.
        digest: Its `StudySource.digest`.

    Returns:
        Whether the record could be written.
    """
    folder = records_folder()
    if folder is None:
        return False
    if _recorded(study_file) == digest:
        return True
    record = _record(folder, study_file)
    beside = record.with_name(f"{uuid.uuid4().hex}.tmp")
    content = json.dumps({"study_file": str(study_file), "digest": digest})
    try:  # without a record the user is asked again, or gives --trust
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
    """Return the digest that a study file had when it last ran here; None if it never did."""
    folder = records_folder()
    if folder is None:
        return None
    try:
        with _record(folder, study_file).open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & 0o022 or (hasattr(os, "geteuid") and status.st_uid != os.geteuid()):
                return None  # other users own it or may write it
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
        return "They cannot be recorded here: there is no home folder (HOME, or XDG_STATE_HOME)."
    nearest = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    cannot = "" if nearest.is_dir() and os.access(nearest, os.W_OK) else ", which cannot be written"
    return f"They are recorded in {folder}{cannot}."
