"""The `Explanation` of a model, and its file on disk."""

from __future__ import annotations

import json
import os
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.training.outputs import Example, Findings, InputRow, Reasons

_DAMAGED = zipfile.BadZipFile, zlib.error
_ARRAY = "$array"  # no metric has this name


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
        findings: The findings about each of its outputs.
        folder: The folder of the record and of its figures.
    """

    subject: Subject
    findings: tuple[Findings, ...]
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
        findings = tuple(map(_findings, _unpacked(about["findings"], arrays)))
        return Explanation(Subject(**about["subject"]), findings, folder) if findings else None
    except (OSError, ValueError, TypeError, AttributeError, LookupError, EOFError, RuntimeError, *_DAMAGED):
        return None


def _record(folder: Path) -> Path:
    return folder / "record.npz"


def _packed(value: Any, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    """Return records as JSON can hold them, with {_ARRAY: name} in the place of each array, which goes to `arrays`."""
    if isinstance(value, (np.ndarray, np.generic)):
        name = f"array_{len(arrays)}"
        arrays[name] = np.asarray(value)
        return {_ARRAY: name}
    if isinstance(value, (Findings, Example, InputRow, Reasons)):
        return {field.name: _packed(getattr(value, field.name), arrays) for field in fields(value)}
    if isinstance(value, tuple):
        return [_packed(one, arrays) for one in value]
    return value


def _unpacked(value: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return tuple(_unpacked(one, arrays) for one in value)
    if isinstance(value, dict):
        found = {name: _unpacked(one, arrays) for name, one in value.items() if name != _ARRAY}
        return arrays[value[_ARRAY]] if _ARRAY in value else found
    return value


def _findings(found: Mapping[str, Any]) -> Findings:
    examples = {name: tuple(map(_example, found[name])) for name in ("right", "wrong")}
    return Findings(**{**found, **examples})


def _example(found: Mapping[str, Any]) -> Example:
    views = {name: found[name] and Reasons(**found[name]) for name in ("for_predicted", "for_true")}
    return Example(**{**found, **views, "inputs": tuple(InputRow(**one) for one in found["inputs"])})
