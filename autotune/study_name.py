"""What a study may be called: its name in a storage is also a folder's in the run dir, and is typed and shown."""

from __future__ import annotations

from pathlib import Path

from autotune.errors import StorageError, UsageError

PARTS = (".confirm", ".final", ".learning-curve")
"""What the names of studies end with that train configurations of another one again."""

_MOST_CHARACTERS = 100
_MOST_BYTES = 200  # of 255 that file systems take: some are for PARTS, and for names of files that follow from it
_TAKEN = ("datasets", "autotune.db")  # in the run dir, and what stands beside the database: -wal, -shm, .lock

EXPECTED = (
    f"The name is also a folder: at least one character, at most {_MOST_CHARACTERS} ({_MOST_BYTES} bytes), all "
    "printable; no slash or backslash, no dot, hyphen or space first, no space last; neither datasets nor autotune.db."
)


def is_study_name(name: object) -> bool:
    """Say whether a study can have a name."""
    if not isinstance(name, str) or not name.isprintable() or set(name) & set("/\\"):
        return False
    if name != name.strip() or name.startswith((".", "-")):
        return False
    base = next((name.removesuffix(part) for part in PARTS if name.endswith(part)), name)
    if not base or len(base) > _MOST_CHARACTERS or len(base.encode()) > _MOST_BYTES:
        return False
    folded = name.casefold()  # some file systems do not tell a from A
    return folded != _TAKEN[0] and not folded.startswith(_TAKEN[1])


def check_name(name: str) -> None:
    """Refuse a name that no study can have.

    Raises:
        UsageError: If it is one.
    """
    if not is_study_name(name):
        raise UsageError(f"{cut(name)} cannot name a study.", EXPECTED, "Choose a name like 'mnist-cnn'.")


def cut(name: object) -> str:
    """Return a name as a line can hold it."""
    text = ascii(name)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} ..."


def study_folder(run_dir: Path, name: str) -> Path:
    """Return the folder of a study, which lies in the run dir itself, whatever the name says.

    Raises:
        UsageError: If no study can have the name.
        StorageError: If there is a link, or something that is no folder, in its place.
    """
    check_name(name)
    folder = run_dir / name
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise StorageError(
            f"{folder} is {'a link' if folder.is_symlink() else 'no folder'}.",
            "The files of a study are in a folder of its name, in the run dir itself.",
            "Move it away, or choose another --run-dir or --name.",
        )
    return folder
