"""Sentences from movie reviews, positive or negative (Pang and Lee, 2005)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autotune.data.rows import Dataset
from autotune.data.sources.official import Archive, Part
from autotune.errors import DataError

CLASS_NAMES = ("negative", "positive")
_ARCHIVE = Archive(
    folder="rt-polaritydata",
    url="https://www.cs.cornell.edu/people/pabo/movie-review-data/rt-polaritydata.tar.gz",
    inside="rt-polaritydata",
    proof="rt-polarity.pos",
)


@dataclass(frozen=True)
class SentencePolarity:
    """Sentences with the label 0 (negative) or 1 (positive).

    There are no test rows: the literature reports the mean of ten folds over all sentences.
    """

    name: str = "sentence-polarity"
    description: str = "sentences of movie reviews, 10662, 2 classes; no test rows: 10 folds, as in the literature"
    how_to_get: str = _ARCHIVE.how_to_get
    has_test_rows: bool = False

    def find(self, data_dir: Path | None) -> tuple[bool, str]:
        """Tell whether the files are there, and where they are or which folders were searched."""
        return _ARCHIVE.find(data_dir) is not None, _ARCHIVE.where(data_dir)

    def load(self, part: Part, data_dir: Path | None) -> Dataset:
        """Read all sentences; x has the shape (n,) and holds strings.

        Raises:
            DataError: If files are missing or damaged, or `part` is "test".
        """
        if part == "test":
            raise DataError(
                f"{self.name!r} has no test rows.",
                "The literature reports the mean of ten folds over all sentences: folds=KFold(10).",
                "Use the confirmed value of the winner instead.",
            )
        folder = _ARCHIVE.get(data_dir)
        negative, positive = (_sentences(folder / f"rt-polarity.{kind}") for kind in ("neg", "pos"))
        if not len(negative) == len(positive) > 0:
            raise DataError(
                f"{folder} has {len(negative)} negative and {len(positive)} positive sentences: some are missing.",
                "Expected equally many of both: 5331 were published.",
                self.how_to_get,
            )
        y = np.repeat(np.array([0, 1], dtype=np.int64), [len(negative), len(positive)])
        return Dataset(np.array([*negative, *positive]), y, name=self.name, n_classes=2)


def _sentences(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.",
            "Expected one file of negative and one of positive sentences, one sentence per line.",
            _ARCHIVE.how_to_get,
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # the published encoding; copies are often UTF-8
    return [line.strip() for line in text.split("\n") if line.strip()]
