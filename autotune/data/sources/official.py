"""Archives of datasets: found in the data folder or Keras's cache, or downloaded from their official address."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from autotune.errors import DataError
from autotune.escaping import unescaped

Part: TypeAlias = Literal["train", "test"]
_DOWNLOAD_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Archive:
    """A folder of files in their official layout, and the archive that contains it.

    Attributes:
        folder: The folder's name in the data folder.
        url: The archive.
        inside: Where the folder's content is in the archive.
        proof: A file that is there if the folder is whole, by its path in the folder.
    """

    folder: str
    url: str
    inside: str
    proof: str

    @property
    def how_to_get(self) -> str:
        """How to get the folder when it is missing."""
        return (
            f"Unpack {self.url} in a folder, as {self.folder}, and give the folder with --data-dir or AUTOTUNE_DATA; "
            "or connect to the network once, and it is downloaded."
        )

    def find(self, data_dir: Path | None) -> Path | None:
        """Return the folder, in the data folder or in Keras's cache; None if it is in neither."""
        return next((place for place in self._places(data_dir) if (place / self.proof).is_file()), None)

    def where(self, data_dir: Path | None) -> str:
        """Return the path of the folder, or a text that names the places that were searched."""
        found = self.find(data_dir)
        return str(found) if found else f"not in {' or '.join(str(place.parent) for place in self._places(data_dir))}"

    def get(self, data_dir: Path | None) -> Path:
        """Return the folder; if it is missing, download it to Keras's cache first.

        Raises:
            DataError: If it is missing and cannot be downloaded.
        """
        if (found := self.find(data_dir)) is not None:
            return found
        try:
            with downloading():
                from keras.utils import get_file

                keras_home().mkdir(parents=True, exist_ok=True)  # without its cache folder Keras would use /tmp
                get_file(f"{self.folder}.tar.gz", self.url, extract=True, cache_dir=str(keras_home()))
        except Exception as error:  # Keras raises a bare Exception when a download fails
            raise self._missing(data_dir, f"and it cannot be downloaded ({error})") from error
        if (found := self.find(data_dir)) is None:
            raise self._missing(data_dir, f"and the archive that was downloaded has no {self.inside}/{self.proof}")
        return found

    def _missing(self, data_dir: Path | None, why: str) -> DataError:
        return DataError(
            f"{self.folder} is {self.where(data_dir)}, {why}.",
            f"Expected a folder in its official layout: {self.folder}/{self.proof}, and so on.",
            self.how_to_get,
        )

    def _places(self, data_dir: Path | None) -> list[Path]:
        # Versions of Keras unpack archives in different places.
        cache = keras_home() / "datasets"
        unpacked = [cache / f"{self.folder}_extracted" / self.inside, cache / f"{self.folder}.tar.gz" / self.inside]
        return [*([data_dir / self.folder] if data_dir else []), cache / self.folder, *unpacked]


@contextlib.contextmanager
def downloading() -> Iterator[None]:
    """Give downloads a timeout, and print their progress on stderr, because stdout is for the command's own output."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)
    try:
        with contextlib.redirect_stdout(unescaped(sys.stderr)):
            yield
    finally:
        socket.setdefaulttimeout(before)


def keras_home() -> Path:
    """Return the folder of Keras's cache."""
    # The same rule as Keras's; `keras.config` has the path too, but importing Keras takes seconds.
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser()
    home = Path.home()
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"
