"""Folds stored on disk, for trial processes to read."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np

from autotune.data.splits import Fold
from autotune.errors import DamagedStoreError


def store_folds(folds: tuple[Fold, ...], path: Path, tell: Callable[[str], None] = lambda text: None) -> None:
    """Write folds to disk in one step, unless they are there already.

    Args:
        folds: The folds.
        path: An `.npz` file whose name identifies the folds; its folder is created if missing.
        tell: Called with a sentence if the file was damaged and is written again.

    Raises:
        OSError: The disk is full or the file cannot be written.
    """
    was_there = path.exists()
    if was_there and _holds(path, folds):
        return
    arrays = {f"train_{i}": fold.train for i, fold in enumerate(folds)}
    arrays |= {f"validation_{i}": fold.validation for i, fold in enumerate(folds)}
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{uuid.uuid4().hex}.tmp")  # two parents may write at the same time
    try:
        with beside.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # reason: NumPy types the names as its own arguments
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    if was_there:
        tell(f"the stored folds in {path} had changed since they were written. They were written again.")


def load_folds(path: Path) -> tuple[Fold, ...]:
    """Read the folds that `store_folds` wrote.

    Raises:
        DamagedStoreError: The file is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:  # NumPy leaves a torn file open
            return tuple(Fold(archive[f"train_{i}"], archive[f"validation_{i}"]) for i in range(len(archive) // 2))
    except Exception as error:  # zipfile and NumPy may raise any error on damaged bytes
        raise DamagedStoreError(
            f"the stored folds {path} cannot be opened: {type(error).__name__}: {error}.",
            "Expected the positions of the rows of each fold, as they were stored.",
            "Run the same command again: it writes them again.",
        ) from error


def _holds(path: Path, folds: tuple[Fold, ...]) -> bool:
    try:
        found = load_folds(path)
    except DamagedStoreError:
        return False
    return len(found) == len(folds) and all(
        np.array_equal(one.train, other.train) and np.array_equal(one.validation, other.validation)
        for one, other in zip(found, folds, strict=True)
    )
