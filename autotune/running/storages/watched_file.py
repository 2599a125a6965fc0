"""The file of a storage that is in use, watched: an open file goes on working after somebody has deleted it.

What is covered: a file that is deleted, moved, or replaced by another one, be it alone or with its folder. What is not:
a file whose contents are overwritten in place, which looks as if another program had written to the database.
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
_SAVED = re.compile(r"\.saved(-\d+)?$")  # behind the name of a file that was lost


class WatchedFile:
    """What was opened, held against what the path leads to now. Make it once the file is open.

    Args:
        path: The file, absolute.
        beside: What is added to its name for other files that it cannot do without.
        url: From a path to the URL of such a storage.
        save: Writes what the open file holds to a new file; None for who only looks, and changes nothing.
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
        """Make sure that the path still leads to the open file.

        Raises:
            StorageLostError: If not. What the open file holds has been saved beside it then.
        """
        if self._loss is None and all(_identity(path, opened) == opened for path, opened in self._opened.items()):
            return
        with self._lock:  # one saves, all stop
            self._loss = self._loss or self._lose()
        raise StorageLostError(*self._loss)

    def _lose(self) -> tuple[str, str, str]:
        gone = next((path for path, opened in self._opened.items() if _identity(path, opened) != opened), self._path)
        happened = f"the storage {self._path} is not what it was when it was opened: {gone.name} was "
        happened += "replaced." if gone.exists() else "deleted or moved."
        if self._save is None:
            return happened, "Nothing was written to it from here.", "Look again at where it is now."
        try:
            saved = self._saved(self._save)
        except Exception as error:
            return (
                happened,
                f"What it held could not be saved either ({error}).",
                "Bring it back from where it was moved to, or from a backup, and run the same command again.",
            )
        return (
            happened,
            f"All that it held, finished trials and the reports of others, was saved as {saved}",
            f"To go on from there, run the same command with --storage {self._url(saved)}",
        )

    def _saved(self, save: Callable[[Path], None]) -> Path:
        """Save what the open file holds in its folder, or in the first folder above that is still there."""
        folder = next(folder for folder in self._path.parents if folder.is_dir() and os.access(folder, os.W_OK))
        stem = _SAVED.sub("", self._path.stem)
        for n in range(1, 1000):
            path = folder / f"{stem}.saved{'' if n == 1 else f'-{n}'}{self._path.suffix}"
            with contextlib.suppress(FileExistsError):  # another parent's, or of another time
                path.touch(exist_ok=False)
                save(path)
                return path
        raise FileExistsError(f"there are too many files {path.name} in {folder}")


def saved_copies(path: Path) -> list[Path]:
    """Return what was saved of a file that was lost, the last one first."""
    folder = next(folder for folder in path.parents if folder.is_dir())
    stem = _SAVED.sub("", path.stem)
    found = [one for one in folder.iterdir() if one.suffix == path.suffix and _SAVED.sub("", one.stem) == stem]
    return sorted((one for one in found if one.stem != stem), key=lambda one: one.stat().st_mtime, reverse=True)


def _identity(path: Path, unknown: Identity) -> Identity:
    """Return which file is at a path; `unknown` if nobody can say at the moment."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # a network that is away, say
        return unknown
    return found.st_dev, found.st_ino
