"""Named datasets, and where each comes from.

What is not at hand is looked for in a data folder, then in Keras's cache, then at its official place when the network
allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autotune.data.dataset import Dataset
from autotune.data.images import CLOTHES, IMAGES
from autotune.data.official import Part
from autotune.data.speech import AXES, SpokenDigits
from autotune.data.text import CLASS_NAMES, SentencePolarity
from autotune.errors import DataError


class Source(Protocol):
    """Where a named dataset comes from."""

    @property
    def name(self) -> str:
        """What a study file calls it."""

    @property
    def description(self) -> str:
        """Size and kind, in a few words."""

    @property
    def how_to_get(self) -> str:
        """What to do when it is missing."""

    @property
    def has_test_rows(self) -> bool:
        """Whether some rows are kept for the final test."""

    def find(self, data_dir: Path | None) -> tuple[bool, str]:
        """Say whether it can be loaded without the network, and where it is, or where it was looked for."""

    def load(self, part: Part, data_dir: Path | None) -> Dataset:
        """Read its development ("train") or test rows."""


_SOURCES: Mapping[str, Source] = {source.name: source for source in (*IMAGES, SpokenDigits(), SentencePolarity())}
_CLASS_NAMES = {"fashion-mnist": CLOTHES, SentencePolarity.name: CLASS_NAMES}


@dataclass(frozen=True)
class DatasetStatus:
    """Whether a named dataset is at hand.

    Args:
        name: What a study file calls it.
        present: It can be loaded without the network.
        where: Where it is, or where it was looked for.
        how_to_get: What to do when it is missing.
        description: Size and kind, in a few words.
    """

    name: str
    present: bool
    where: str
    how_to_get: str
    description: str


def load_development(name: str, data_dir: Path | None = None) -> Dataset:
    """Load the rows that may be searched on: for training and validation, never for the final test.

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
    """Load the test rows. Only the room that finalizes calls this, once a study is over.

    Takes and raises what `load_development` does, and returns rows in the same form, none of them the same. A dataset
    without test rows is a DataError.
    """
    return _load(name, "test", data_dir)


def has_test_rows(name: str) -> bool:
    """Say whether a named dataset keeps rows for the final test.

    Raises:
        DataError: The name is unknown.
    """
    return _source(name).has_test_rows


def class_names_of(name: str, n_classes: int) -> tuple[str, ...]:
    """Return what people call the classes of a dataset: their numbers, unless it is a named one with better names."""
    names = _CLASS_NAMES.get(name, ())
    return names if len(names) == n_classes else tuple(map(str, range(n_classes)))


def axes_of(name: str) -> tuple[str, str] | None:
    """Return what the two axes of a dataset's rows are, time first, if they are spectrograms; else None."""
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
            "Use one of these, or give the study file a function that returns a Dataset.",
        )
    return _SOURCES[name]


def _check_folder(data_dir: Path | None) -> None:
    if data_dir is not None and not data_dir.is_dir():
        raise DataError(
            f"the data folder {data_dir} does not exist or is not a folder.",
            "Expected a folder with files such as mnist.npz.",
            "Name one that is there with --data-dir or AUTOTUNE_DATA.",
        )
