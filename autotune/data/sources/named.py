"""The named datasets, and how to load each of them.

A dataset is read from the data folder, else from Keras's cache, else it is downloaded from its official address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autotune.data.rows import Dataset
from autotune.data.sources.images import CLOTHES, IMAGES
from autotune.data.sources.official import Part
from autotune.data.sources.speech import AXES, SpokenDigits
from autotune.data.sources.text import CLASS_NAMES, SentencePolarity
from autotune.errors import DataError


class Source(Protocol):
    """A named dataset, and how to find and load it."""

    @property
    def name(self) -> str:
        """Its name in a study file."""

    @property
    def description(self) -> str:
        """Size and kind, in a few words."""

    @property
    def how_to_get(self) -> str:
        """How to get it when it is missing."""

    @property
    def has_test_rows(self) -> bool:
        """Whether some rows are kept for the final test."""

    def find(self, data_dir: Path | None) -> tuple[bool, str]:
        """Tell whether it can be loaded without the network, and where it is or which places were searched."""

    def load(self, part: Part, data_dir: Path | None) -> Dataset:
        """Read its development ("train") or test rows."""


_SOURCES: Mapping[str, Source] = {source.name: source for source in (*IMAGES, SpokenDigits(), SentencePolarity())}
_CLASS_NAMES = {"fashion-mnist": CLOTHES, SentencePolarity.name: CLASS_NAMES}


@dataclass(frozen=True)
class DatasetStatus:
    """Whether a named dataset can be loaded without the network.

    Args:
        name: Its name in a study file.
        present: Whether it can be loaded without the network.
        where: Its path, or a text that names the places that were searched.
        how_to_get: How to get it when it is missing.
        description: Size and kind, in a few words.
    """

    name: str
    present: bool
    where: str
    how_to_get: str
    description: str


def load_development(name: str, data_dir: Path | None = None) -> Dataset:
    """Load the development rows of a named dataset, for training and validation but never for the final test.

    Args:
        name: "digits", "mnist", "fashion-mnist", "spoken-digits" or "sentence-polarity".
        data_dir: Folder to look in before Keras's cache, or None.

    Returns:
        Images: x of shape (n, h, w, 1), float32 in [0, 1]. Spoken digits: log-mel spectrograms as in
        `autotune.data.speech`, with their speakers as groups. Sentences: x of shape (n,), strings. y has the shape
        (n,), int64 from 0.

    Raises:
        DataError: The name is unknown, or the data is missing or damaged.

    Example:
        >>> load_development("digits").input_shape
        (8, 8, 1)
    """
    return _load(name, "train", data_dir)


def load_test(name: str, data_dir: Path | None = None) -> Dataset:
    """Load the test rows. Only `autotune.results.final` calls this, once a study is over.

    The arguments, the errors and the form of the rows are those of `load_development`; no row is in both. For a dataset
    without test rows it raises a DataError.
    """
    return _load(name, "test", data_dir)


def has_test_rows(name: str) -> bool:
    """Tell whether a named dataset keeps rows for the final test.

    Raises:
        DataError: The name is unknown.
    """
    return _source(name).has_test_rows


def class_names_of(name: str, n_classes: int) -> tuple[str, ...]:
    """Return the names of the classes of a dataset: those of a named dataset that has some, else their numbers."""
    names = _CLASS_NAMES.get(name, ())
    return names if len(names) == n_classes else tuple(map(str, range(n_classes)))


def axes_of(name: str) -> tuple[str, str] | None:
    """Return the names of the two axes of a dataset's spectrograms, time first; None if its rows are none."""
    return AXES if name == SpokenDigits.name else None


def available(data_dir: Path | None) -> list[DatasetStatus]:
    """List the named datasets, without a download and without importing Keras.

    Args:
        data_dir: Folder to look in before Keras's cache, or None.

    Raises:
        DataError: `data_dir` is not a folder.
    """
    _check_folder(data_dir)
    return [
        DatasetStatus(source.name, *source.find(data_dir), source.how_to_get, source.description)
        for source in _SOURCES.values()
    ]


def _load(name: str, part: Part, data_dir: Path | None) -> Dataset:
    source = _source(name)
    _check_folder(data_dir)
    return source.load(part, data_dir)


def _source(name: str) -> Source:
    if name not in _SOURCES:
        raise DataError(
            f"there is no dataset called {name!r}.",
            f"The named datasets are: {', '.join(_SOURCES)}.",
            "Use one of these, or write a function in the study file that returns a Dataset.",
        )
    return _SOURCES[name]


def _check_folder(data_dir: Path | None) -> None:
    if data_dir is not None and not data_dir.is_dir():
        raise DataError(
            f"the data folder {data_dir} does not exist or is not a folder.",
            "Expected a folder with files such as mnist.npz.",
            "Give an existing folder with --data-dir or AUTOTUNE_DATA.",
        )
