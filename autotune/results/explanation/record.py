"""The `Explanation` of a model, and its file on disk."""

from __future__ import annotations

import json
import os
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

_Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reasons:
    """The attributions of a row for one class, by integrated gradients.

    Attributes:
        values: Shape of the row; for text one for each word. A value above 0 speaks for the class.
        start: The model's output for the class, for an empty row.
        end: The same for the row.
    """

    values: _Floats
    start: float
    end: float

    @property
    def gap(self) -> float:
        """The error of the values' sum, from the quadrature; without it the axiom of completeness gives 0."""
        return float(self.values.sum()) - (self.end - self.start)


@dataclass(frozen=True, eq=False)
class Example:
    """One row, with its prediction and attributions.

    Attributes:
        position: Its position among the development rows.
        true: Its class, or the number that is to be predicted.
        predicted: The class or number that is predicted.
        probability: How sure the model is of that class; None for a number.
        row: The row as the model is given it; shape () for a text.
        words: The words of a text as the model reads them, without padding; none for numbers.
        for_predicted: What speaks for the predicted class; None if that could not be found out.
        for_true: For a mistake, what speaks for the true class.
    """

    position: int
    true: float
    predicted: float
    probability: float | None
    row: npt.NDArray[Any]
    words: tuple[str, ...] = ()
    for_predicted: Reasons | None = None
    for_true: Reasons | None = None


@dataclass(frozen=True, eq=False)
class Findings:
    """The findings about a model on rows that it was not trained on.

    Attributes:
        n_rows: How many rows these are.
        class_names: What the classes are called; none for numbers to be predicted.
        axes: What the two axes of a spectrogram are, time first; None for other rows.
        confusion: How often each true class (rows) is taken for each class (columns), int64; None for numbers.
        right: A few rows that the model is right about, typical of their classes; none for numbers.
        wrong: The mistakes that it is surest of, or the largest errors, the worst first.
        true: The numbers to be predicted, shape (m,), of at most 2,000 rows; None for classes.
        predicted: What they are predicted to be, likewise.
        why_no_reasons: Why it could not be found out what the model looks at; "" where it could.
        features: What the columns of a table are called; none for rows that are no rows of a table.
    """

    n_rows: int
    class_names: tuple[str, ...]
    axes: tuple[str, str] | None
    confusion: npt.NDArray[np.int64] | None
    right: tuple[Example, ...]
    wrong: tuple[Example, ...]
    true: _Floats | None = None
    predicted: _Floats | None = None
    why_no_reasons: str = ""
    features: tuple[str, ...] = ()

    @property
    def n_right(self) -> int:
        """Of how many rows the class is predicted; 0 for numbers."""
        return 0 if self.confusion is None else int(self.confusion.trace())

    def confused(self) -> list[tuple[int, int, int]]:
        """Return (true class, class it is taken for, how often) for all that is taken for another, most often first."""
        if self.confusion is None:
            return []
        pairs = [
            (int(true), int(taken), int(self.confusion[true, taken])) for true, taken in np.argwhere(self.confusion)
        ]
        return sorted((pair for pair in pairs if pair[0] != pair[1]), key=lambda pair: -pair[2])


@dataclass(frozen=True)
class Subject:
    """The model that is explained.

    Attributes:
        study: The study's name.
        trial: Its trial in the search.
        value: The trial's value.
        monitor: The metric that the value is of.
        is_winner: Whether it is the one that was confirmed; if not, the best of the search whose model is kept.
        key: A digest of model and split; an explanation with another key is not used.
    """

    study: str
    trial: int
    value: float
    monitor: str
    is_winner: bool
    key: str


@dataclass(frozen=True, eq=False)
class Explanation:
    """The explanation of a model.

    Attributes:
        subject: The model.
        findings: The findings about it.
        folder: The folder of the record and of its figures.
    """

    subject: Subject
    findings: Findings
    folder: Path


def explanation_folder(study_folder: Path) -> Path:
    """Return where the explanation of a study is kept, given `RUN_DIR/NAME`."""
    return study_folder / "explanation"


def write_record(explanation: Explanation) -> None:
    """Keep an explanation in its folder, in the place of another one, in one step.

    Raises:
        OSError: The disk is full or the folder cannot be written.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    about = {"subject": vars(explanation.subject), "findings": _packed(explanation.findings, arrays)}
    explanation.folder.mkdir(parents=True, exist_ok=True)
    beside = explanation.folder / f".{uuid.uuid4().hex}.npz"
    try:
        with beside.open("wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]  # reason: as in preparing.py
        os.replace(beside, _record(explanation.folder))
    finally:
        beside.unlink(missing_ok=True)


def read_record(folder: Path) -> Explanation | None:
    """Return what was last kept in a folder; None if there is nothing, or nothing that can be read now."""
    try:
        # Opened here because NumPy leaves a torn file open.
        with _record(folder).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            about = json.loads(str(archive["about"]))
            arrays = {name: archive[name] for name in archive.files}
        return Explanation(Subject(**about["subject"]), _findings(about["findings"], arrays), folder)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _record(folder: Path) -> Path:
    return folder / "record.npz"


def _packed(value: Any, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    """Return records as JSON can hold them, with a number in the place of each array, by which it is in `arrays`."""
    if isinstance(value, np.ndarray):
        name = f"array_{len(arrays)}"
        arrays[name] = value
        return name
    if isinstance(value, (Findings, Example, Reasons)):
        return {field.name: _packed(getattr(value, field.name), arrays) for field in fields(value)}
    if isinstance(value, tuple):
        return [_packed(one, arrays) for one in value]
    return value


def _findings(packed: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Findings:
    def array(name: str | None) -> Any:
        return None if name is None else arrays[name]

    def reasons(one: Mapping[str, Any] | None) -> Reasons | None:
        return None if one is None else Reasons(**{**one, "values": array(one["values"])})

    def example(one: Mapping[str, Any]) -> Example:
        views = {name: reasons(one[name]) for name in ("for_predicted", "for_true")}
        return Example(**{**one, "row": array(one["row"]), "words": tuple(one["words"]), **views})

    found: dict[str, Any] = {name: array(packed[name]) for name in ("confusion", "true", "predicted")}
    found |= {name: tuple(map(example, packed[name])) for name in ("right", "wrong")}
    found |= {name: tuple(packed[name]) for name in ("class_names", "features")}
    found |= {"axes": packed["axes"] and tuple(packed["axes"])}
    return Findings(**{**packed, **found})
