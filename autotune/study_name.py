"""Rules for the name of a study, which is also the name of its folder in the run dir."""

from __future__ import annotations

from pathlib import Path

from autotune.errors import StorageError, UsageError

PARTS = (".confirm", ".final", ".learning-curve")
"""Name endings of the studies that belong to another study and train its configurations again."""

_MOST_CHARACTERS = 100
_MOST_BYTES = 200  # file systems allow 255; the rest is for PARTS and for names of files that are made from the name
_TAKEN = ("datasets", "autotune.db")  # names in the run dir; files next to the database end in -wal, -shm, .lock

EXPECTED = (
    f"The name is also a folder: at least one character, at most {_MOST_CHARACTERS} ({_MOST_BYTES} bytes), all "
    "printable; no slash or backslash, no dot, hyphen or space first, no space last; neither datasets nor autotune.db."
)


def is_study_name(name: object) -> bool:
    """Tell whether `name` can be the name of a study."""
    if not isinstance(name, str) or not name.isprintable() or set(name) & set("/\\"):
        return False
    if name != name.strip() or name.startswith((".", "-")):
        return False
    base = next((name.removesuffix(part) for part in PARTS if name.endswith(part)), name)
    if not base or len(base) > _MOST_CHARACTERS or len(base.encode()) > _MOST_BYTES:
        return False
    folded = name.casefold()  # some file systems treat a and A as the same
    return folded != _TAKEN[0] and not folded.startswith(_TAKEN[1])


def check_name(name: str) -> None:
    """Refuse a name that no study can have.

    Raises:
        UsageError: If `is_study_name` is False for it.
    """
    if not is_study_name(name):
        raise UsageError(f"{cut(name)} cannot name a study.", EXPECTED, "Choose a name like 'mnist-cnn'.")


def cut(name: object) -> str:
    """Return a name as ASCII text, cut to `_MOST_CHARACTERS`."""
    text = ascii(name)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} ..."


def study_folder(run_dir: Path, name: str) -> Path:
    """Return the folder of a study; it always lies directly in the run dir.

    Raises:
        UsageError: If no study can have the name.
        StorageError: If its path is a link or a file.
    """
    check_name(name)
    folder = run_dir / name
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise StorageError(
            f"{folder} is {'a link' if folder.is_symlink() else 'no folder'}.",
            "The files of a study are in a folder with its name, directly in the run dir.",
            "Move it away, or choose another --run-dir or --name.",
        )
    return folder
