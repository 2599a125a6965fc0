"""Rows of one's own choice to validate on: positions, masks, functions, or another dataset."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset, join
from autotune.data.splits.folds import Folds, Given, each_fold
from autotune.data.splits.positions import overlapping
from autotune.errors import AutotuneError, DataError
from autotune.failures import summary_of


def with_given_rows(folds: Folds, data: Dataset) -> tuple[Folds, Dataset]:
    """Return positions for the rows to validate on, and the rows with those that were given as another dataset.

    Raises:
        DataError: A function of the study file stopped with an error, or its rows do not fit.
    """
    if not isinstance(folds, Given):
        return folds, data
    train = _called(folds.train, data) if callable(folds.train) else folds.train
    if not callable(folds.validation):
        return Given(folds.validation, train), data
    takes_data = len(inspect.signature(folds.validation).parameters) > 0
    found = _called(folds.validation, *([data] if takes_data else []))
    if not isinstance(found, Dataset):
        return Given(found, train), data
    train = np.arange(len(data)) if train is None else train
    return Given(np.arange(len(data), len(data) + len(found)), train), join(data, found)


def _called(function: Callable[..., Any], *data: Dataset) -> Any:
    try:
        return function(*data)
    except AutotuneError:
        raise
    except Exception as error:
        raise DataError(
            f"the function of Given stopped with {summary_of(error)}.",
            "It gets the development rows, a Dataset, and returns positions, a mask, or another Dataset.",
            "Call it yourself to see the whole traceback, and correct it.",
        ) from error


def given_parts(folds: Given, n: int) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    validation = [positions_of(folds, one, n) for one in each_fold(folds.validation)]
    train = None if folds.train is None else [positions_of(folds, one, n) for one in each_fold(folds.train)]
    if train is not None and len(train) not in (1, len(validation)):
        raise DataError(
            f"the folds are {folds!r}, with {len(validation)} arrays to validate on and {len(train)} to train on.",
            "Each fold has one of each.",
            "Give as many, or leave `train` out to train on all other rows.",
        )
    everything = np.concatenate(validation)
    if len(twice := np.flatnonzero(np.bincount(everything, minlength=n) > 1)):
        raise overlapping(folds, f"row {twice[0]:,} is given twice to validate on")
    for number, held in enumerate(validation):
        rest = np.setdiff1d(np.arange(n), held) if train is None else train[number % len(train)]
        yield rest, held


def positions_of(folds: Given, rows: Any, n: int) -> npt.NDArray[np.int64]:
    found = np.asarray(rows)
    if found.dtype == bool and found.shape == (n,):
        return np.flatnonzero(found)
    if found.ndim != 1 or found.dtype.kind not in "iu" or len(found) == 0 or found.min() < 0 or found.max() >= n:
        raise DataError(
            f"the folds are {folds!r}: an array of dtype {found.dtype} and shape {found.shape} is no choice of rows.",
            f"Rows are given by their positions, integers from 0 to {n - 1}, or by a mask of shape ({n},).",
            "Give e.g. Given(np.flatnonzero(years == 2025)).",
        )
    return found.astype(np.int64)
