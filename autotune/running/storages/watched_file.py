"""A check that the file of an open storage was not deleted, moved or replaced.

Without this check nobody would notice: an open file goes on working after it was deleted.

What is covered: a file that is deleted, moved or replaced, alone or with its folder. What is not covered: a file whose
content is overwritten in place, which looks like a write of another program to the database.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from autotune.errors import StorageLostError

Identity = tuple[int, int] | None  # device and inode; None if there is no such file
_SAVED = re.compile(r"\.saved(-\d+)?$")  # the end of the name of a saved copy


class WatchedFile:
    """Compares the open file with the file that its path leads to now. Create it when the file is open.

    Args:
        path: The file, absolute.
        beside: The suffixes of the names of other files that it needs.
        url: From a path to the URL of such a storage.
        save: Writes the content of the open file to a new file; None if the storage is only read.
    """

    def __init__(
        self, path: Path, beside: Iterable[str], url: Callable[[Path], str], save: Callable[[Path], None] | None
    ) -> None:
        paths = [path.with_name(path.name + suffix) for suffix in ("", *beside)]
        self._path = path
        self._opened = {one: found for one in paths if (found := _identity(one, None)) is not None}
        self._url = url
        self._save = save
        self._lock = threading.Lock()
        self._loss: tuple[str, str, str] | None = None

    def check(self) -> None:
        """Check that the path still leads to the open file.

        Raises:
            StorageLostError: If it does not. The content of the open file has been saved in its folder then.
        """
        if self._loss is None and all(_identity(path, opened) == opened for path, opened in self._opened.items()):
            return
        with self._lock:  # one thread saves, all raise
            self._loss = self._loss or self._lose()
        raise StorageLostError(*self._loss)

    def _lose(self) -> tuple[str, str, str]:
        gone = next((path for path, opened in self._opened.items() if _identity(path, opened) != opened), self._path)
        happened = f"the storage {self._path} is not what it was when it was opened: {gone.name} was "
        happened += "replaced." if gone.exists() else "deleted or moved."
        if self._save is None:
            return happened, "This command has only read it.", "Find its new place, and run the command again there."
        try:
            saved = self._saved(self._save)
        except Exception as error:
            return (
                happened,
                f"Its content could not be saved either ({error}).",
                "Move it back, or restore it from a backup, and run the same command again.",
            )
        return (
            happened,
            f"Its whole content, with finished trials and the reports of others, was saved as {saved}",
            f"To go on from there, run the same command with --storage {self._url(saved)}",
        )

    def _saved(self, save: Callable[[Path], None]) -> Path:
        """Save the content of the open file in its folder, or in the nearest folder above that exists."""
        folder = next(folder for folder in self._path.parents if folder.is_dir() and os.access(folder, os.W_OK))
        stem = _SAVED.sub("", self._path.stem)
        for n in range(1, 1000):
            path = folder / f"{stem}.saved{'' if n == 1 else f'-{n}'}{self._path.suffix}"
            with contextlib.suppress(FileExistsError):  # a copy of another parent, or an older one
                path.touch(exist_ok=False)
                save(path)
                return path
        raise FileExistsError(f"there are too many files {path.name} in {folder}")


def saved_copies(path: Path) -> list[Path]:
    """Return the saved copies of a lost file, the newest first."""
    folder = next(folder for folder in path.parents if folder.is_dir())
    stem = _SAVED.sub("", path.stem)
    found = [one for one in folder.iterdir() if one.suffix == path.suffix and _SAVED.sub("", one.stem) == stem]
    return sorted((one for one in found if one.stem != stem), key=lambda one: one.stat().st_mtime, reverse=True)


def _identity(path: Path, unknown: Identity) -> Identity:
    """Return the identity of the file at a path; None if there is none, `unknown` if it cannot be read now."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # e.g. an unreachable network
        return unknown
    return found.st_dev, found.st_ino
