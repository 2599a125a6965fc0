"""Splits into training and validation rows: holdouts, k folds, splits in time, rows of one's own, scikit-learn's.

What is covered: every splitter of scikit-learn, or of the same form. One with a `random_state` gets a seed of the study
if its own is None, and another seed for each repeat.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from autotune.data.dataset import Dataset
from autotune.errors import AutotuneError, DataError
from autotune.failures import summary_of
from autotune.seeds import derive_seed

_Parts: TypeAlias = Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any]]]  # positions to train and to validate on


@runtime_checkable
class Splitter(Protocol):
    """A splitter of scikit-learn, e.g. `TimeSeriesSplit(5, gap=24)`, or an object with the same method."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> _Parts:
        """Yield the positions of the training rows and of the validation rows of each fold."""


@dataclass(frozen=True)
class Holdout:
    """Validate on one part of the development rows and train on the rest.

    Args:
        fraction: Share of the rows to validate on, in (0, 1).

    Raises:
        DataError: `fraction` is outside that range.
    """

    fraction: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise DataError(
                f"the folds are Holdout({self.fraction!r}).",
                "The fraction is the share of the rows to validate on, between 0 and 1, both excluded.",
                "Use e.g. Holdout(0.1).",
            )


@dataclass(frozen=True)
class KFold:
    """Train k times, each time validating on another of k equal parts.

    Args:
        k: Number of parts, at least 2.

    Raises:
        DataError: `k` is smaller than 2 or not an integer.
    """

    k: int = 5

    def __post_init__(self) -> None:
        _check_k(type(self), self.k)


@dataclass(frozen=True)
class GroupKFold:
    """Train k times, each time validating on groups that were not trained on, e.g. on other speakers.

    The parts have about the same number of groups; with as many folds as groups each part is one group.

    Args:
        k: Number of parts, at least 2 and at most the number of groups.

    Raises:
        DataError: `k` is smaller than 2 or not an integer.
    """

    k: int = 5

    def __post_init__(self) -> None:
        _check_k(type(self), self.k)


@dataclass(frozen=True)
class Latest:
    """Train once, and validate on the newest rows: the last ones, as rows are in order of time.

    No row is shuffled across time. `autotune finalize` moves the split back in time for each of its repeats.

    Args:
        fraction: Share of the rows to validate on, in (0, 1).
        gap: Number of rows before these that are left out, at least 0, e.g. the length of windows that overlap. None
            for as many as overlap in a dataset of `autotune.windows`, else 0.

    Raises:
        DataError: An argument is out of range.
    """

    fraction: float = 0.1
    gap: int | None = None

    def __post_init__(self) -> None:
        is_gap = self.gap is None or (isinstance(self.gap, int) and not isinstance(self.gap, bool) and self.gap >= 0)
        if not 0 < self.fraction < 1 or not is_gap:
            raise DataError(
                f"the folds are {self!r}.",
                "The fraction is the share of the rows to validate on, between 0 and 1, both excluded; the gap is a "
                "number of rows, at least 0.",
                "Use e.g. Latest(0.2, gap=24).",
            )


@dataclass(frozen=True, eq=False)
class Given:
    """Validate on rows of one's own choice.

    Args:
        validation: The rows to validate on: positions among the development rows, shape (m,), or a mask, shape (n,); a
            list of such arrays for several folds; a function from the development rows to one of these; or a function
            without arguments that returns a `Dataset` of more rows, on which no trial of the search trains.
        train: The rows to train on, in the same form; None for all others.
    """

    validation: Any
    train: Any = None

    def __repr__(self) -> str:
        return f"Given({_name_of(self.validation)}{'' if self.train is None else f', {_name_of(self.train)}'})"


Folds: TypeAlias = Holdout | KFold | GroupKFold | Latest | Given | Splitter


@dataclass(frozen=True)
class Design:
    """How the trainings of one configuration depend on each other.

    Attributes:
        n_folds: Number of trainings of one trial.
        overlap: n_validation / n_training of each training; 0 if values are independent.
        groups: Number of independent parts of the rows, if all repeats have the same parts (`GroupKFold`); else None.
        repeats: What a repeat changes: "drawn" (other rows are drawn to validate on), "moved" (the split is moved in
            time), or "same" (rows stay, and only the seeds of the training change).
    """

    n_folds: int = 1
    overlap: float = 0.0
    groups: int | None = None
    repeats: Literal["drawn", "moved", "same"] = "drawn"

    @property
    def meaning(self) -> str:
        """Say in a sentence what repeats with these folds tell; "" if they are drawn anew."""
        return {
            "drawn": "",
            "moved": "Each repeat moves the split back in time: intervals cover other periods and other seeds.",
            "same": "All repeats have the same rows, as these were given: intervals cover the seeds of training, and "
            "not the choice of rows.",
        }[self.repeats]


@dataclass(frozen=True, eq=False)
class Fold:
    """The rows of one training.

    Args:
        train: Positions to train on, shape (n_train,), int64, sorted.
        validation: Positions to validate on, shape (n_validation,), int64, sorted; none of them in `train`.
    """

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """The development rows and the folds that they are split into.

    Args:
        data: The development rows.
        folds: Positions among them. A fold without validation rows trains on all rows and validates on none.
        digest: The `split_digest` of both.
    """

    data: Dataset
    folds: tuple[Fold, ...]
    digest: str


def with_k(folds: Folds, k: int) -> Folds:
    """Return k folds in place of `folds`, of the same kind where this has several folds.

    Raises:
        DataError: `k` is smaller than 2, or the rows are given.
    """
    if isinstance(folds, Given):
        raise DataError(
            f"{k} folds were asked for, but the folds are {folds!r}.",
            "Given rows have as many folds as they were given with.",
            "Leave --folds out.",
        )
    if isinstance(folds, Latest):
        from sklearn.model_selection import TimeSeriesSplit

        _check_k(KFold, k)
        in_time: Folds = TimeSeriesSplit(k, gap=folds.gap or 0)
        return in_time
    if hasattr(folds, "n_splits"):
        _check_k(type(folds), k)
        changed = copy.deepcopy(folds)
        changed.n_splits = k
        return changed
    return GroupKFold(k) if isinstance(folds, GroupKFold) else KFold(k)


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
    return Given(np.arange(len(data), len(data) + len(found)), train), data.joined(found)


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


def is_in_time(folds: Folds) -> bool:
    """Tell whether folds validate on later rows than they train on."""
    return isinstance(folds, Latest) or type(folds).__name__ == "TimeSeriesSplit"


def design_of(folds: Folds, parts: Sequence[Fold]) -> Design:
    """Return the design of a study's repeats.

    Args:
        folds: The declared folds.
        parts: What `split` returned for them.
    """
    n = len(parts)
    if isinstance(folds, Holdout):
        return Design(1, folds.fraction / (1 - folds.fraction))
    if isinstance(folds, KFold):
        return Design(n, 1 / (folds.k - 1))
    if isinstance(folds, GroupKFold):
        return Design(n, 1 / (folds.k - 1), folds.k)  # repeats have the same groups: they tell nothing about others
    overlap = fmean(len(fold.validation) / len(fold.train) for fold in parts)
    if is_in_time(folds):
        return Design(n, overlap, repeats="moved")
    if _draws(folds):
        return Design(n, overlap)
    return Design(n, repeats="same") if n == 1 else Design(n, overlap, n, "same")


def split(folds: Folds, data: Dataset, seed: int, moves: int = 0, most_moves: int = 1) -> tuple[Fold, ...]:
    """Divide rows into training and validation rows.

    Args:
        folds: The folds; see `with_given_rows` for given functions.
        data: The rows. If they have strata (labels, or those given as `stratify`), `Holdout` and `KFold` keep these in
            the same proportions in each part; otherwise rows are shuffled only. Splitters of scikit-learn get the
            strata as y, and the groups.
        seed: The study seed; the same seed gives the same folds.
        moves: How many times folds in order of time are moved back, each time by the rows to validate on, or by less so
            that half of the training rows remain after all moves. Other folds ignore it.
        most_moves: The number of all moves, at least 1.

    Returns:
        One fold for each training. Over k folds of `KFold` and `GroupKFold` each row is validated exactly once.

    Raises:
        DataError: There are too few rows, too few of one class, too few groups, or rows that are in both parts.

    Example:
        >>> import numpy as np
        >>> fold, = split(Holdout(0.5), Dataset(np.zeros(4), np.array([0, 0, 1, 1])), seed=0)
        >>> len(fold.train), len(fold.validation)
        (2, 2)
    """
    seed = derive_seed(seed, "split")
    parts: _Parts
    if isinstance(folds, GroupKFold):
        parts = _group_parts(folds, data.strata, seed, data.groups)
    elif isinstance(folds, (Holdout, KFold)):
        if data.strata is not None:
            _check_classes(folds, data.strata)
        _check_size(folds, len(data))
        parts = _parts(folds, len(data), data.strata, seed)
    elif isinstance(folds, Latest):
        parts = _moved(lambda n: [_latest(folds, n, data.overlap)], len(data), moves, most_moves)
    elif isinstance(folds, Given):
        parts = _given(folds, len(data))
    elif is_in_time(folds):
        parts = _moved(lambda n: _of_splitter(folds, data, n), len(data), moves, most_moves)
    else:
        parts = _of_splitter(_seeded(folds, seed), data, len(data))
    found = tuple(Fold(_sorted(train), _sorted(validation)) for train, validation in parts)
    if not isinstance(folds, (Holdout, KFold, GroupKFold)):
        _check_parts(folds, found, len(data))
    return found


def split_digest(dataset: Dataset, folds: tuple[Fold, ...]) -> str:
    """Identify the rows that scores were computed on.

    Args:
        dataset: The development rows.
        folds: Positions among them.

    Returns:
        Hex SHA-256 of the dataset's digest and of all positions. Two scores are comparable only if it is equal.
    """
    digest = hashlib.sha256(dataset.digest.encode())
    for fold in folds:
        for positions in (fold.train, fold.validation):
            digest.update(f":{len(positions)}:".encode())
            digest.update(positions.astype("<i8").tobytes())
    return digest.hexdigest()


def _parts(folds: Holdout | KFold, n: int, strata: npt.NDArray[Any] | None, seed: int) -> _Parts:
    # Imported here because scikit-learn takes about a second to import and most commands never split.
    from sklearn import model_selection

    stratified = strata is not None
    if isinstance(folds, Holdout):
        shuffle = model_selection.StratifiedShuffleSplit if stratified else model_selection.ShuffleSplit
        splitter = shuffle(n_splits=1, test_size=folds.fraction, random_state=seed)
    else:
        k_fold = model_selection.StratifiedKFold if stratified else model_selection.KFold
        splitter = k_fold(n_splits=folds.k, shuffle=True, random_state=seed)
    parts: _Parts = splitter.split(np.zeros(n), strata)
    return parts


def _group_parts(
    folds: GroupKFold, strata: npt.NDArray[Any] | None, seed: int, groups: npt.NDArray[Any] | None
) -> _Parts:
    from sklearn import model_selection

    groups = _checked_groups(folds, groups)
    splitter = model_selection.GroupKFold(folds.k, shuffle=True, random_state=seed)
    for train, validation in splitter.split(np.zeros(len(groups)), groups=groups):
        if strata is not None:
            _check_trained(folds, strata, train, validation)
        yield train, validation


def _latest(folds: Latest, n: int, overlap: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    first = n - math.ceil(folds.fraction * n)
    return np.arange(max(0, first - (overlap if folds.gap is None else folds.gap))), np.arange(first, n)


def _moved(parts_of: Callable[[int], _Parts], n: int, moves: int, most_moves: int) -> _Parts:
    """Return the folds of the oldest rows; see `split`."""
    whole = [*parts_of(n)]
    if not moves or not whole:
        return whole
    half = len(whole[0][0]) // 2
    step = max(1, min(len(whole[-1][1]), half // most_moves))
    return parts_of(n - min(half, moves * step))


def _given(folds: Given, n: int) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    validation = [_positions(folds, one, n) for one in _several(folds.validation)]
    train = None if folds.train is None else [_positions(folds, one, n) for one in _several(folds.train)]
    if train is not None and len(train) not in (1, len(validation)):
        raise DataError(
            f"the folds are {folds!r}, with {len(validation)} arrays to validate on and {len(train)} to train on.",
            "Each fold has one of each.",
            "Give as many, or leave `train` out to train on all other rows.",
        )
    everything = np.concatenate(validation)
    if len(twice := np.flatnonzero(np.bincount(everything, minlength=n) > 1)):
        raise _overlapping(folds, f"row {twice[0]:,} is given twice to validate on")
    for number, held in enumerate(validation):
        rest = np.setdiff1d(np.arange(n), held) if train is None else train[number % len(train)]
        yield rest, held


def _several(rows: Any) -> list[Any]:
    is_list = isinstance(rows, (list, tuple)) and len(rows) > 0 and all(hasattr(one, "__len__") for one in rows)
    return list(rows) if is_list else [rows]


def _positions(folds: Given, rows: Any, n: int) -> npt.NDArray[np.int64]:
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


def _of_splitter(folds: Any, data: Dataset, n: int) -> _Parts:
    strata = np.zeros(n) if data.strata is None else data.strata[:n]
    groups = None if data.groups is None else data.groups[:n]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The groups parameter is ignored")
            parts = [(train, validation) for train, validation in folds.split(np.zeros(n), strata, groups)]
    except Exception as error:
        raise DataError(
            f"{folds!r} cannot split {n} rows: {summary_of(error)}",
            "A splitter gets the rows, their strata (labels, or Dataset(stratify=...)) and their groups.",
            "Give it other settings, or the dataset what it needs: Dataset(x, y, groups=...).",
        ) from error
    return [(_positions(folds, train, n), _positions(folds, validation, n)) for train, validation in parts]


def _draws(folds: Any) -> bool:
    """Tell whether a splitter of scikit-learn draws rows by chance."""
    return hasattr(folds, "random_state") and getattr(folds, "shuffle", True) is not False


def _seeded(folds: Any, seed: int) -> Any:
    """Return a splitter that draws rows with this seed, unless it has a seed of its own."""
    if not _draws(folds) or folds.random_state is not None:
        return folds
    seeded = copy.deepcopy(folds)
    seeded.random_state = seed
    return seeded


def redrawn(folds: Folds) -> Folds:
    """Return the folds of a repeat: a splitter of scikit-learn that draws rows loses its own seed."""
    if isinstance(folds, (Holdout, KFold, GroupKFold, Latest, Given)) or not _draws(folds):
        return folds
    changed: Any = copy.deepcopy(folds)
    changed.random_state = None
    return changed  # type: ignore[no-any-return]  # reason: a copy of another package's splitter


def _check_parts(folds: Folds, found: Sequence[Fold], n: int) -> None:
    if not found:
        raise DataError(f"{folds!r} makes no fold of {n} rows.", "At least one is needed.", "Use other folds.")
    for number, fold in enumerate(found):
        if not len(fold.train) or not len(fold.validation):
            what = "train" if not len(fold.train) else "validate"
            raise DataError(
                f"fold {number} of {folds!r} has no row to {what} on, of {n} rows.",
                "Each part needs at least one row.",
                "Use fewer folds, another fraction, a smaller gap, or more rows.",
            )
        both = np.intersect1d(fold.train, fold.validation)
        if len(both):
            raise _overlapping(folds, f"{len(both):,} rows are on both sides of fold {number}, e.g. row {both[0]:,}")
        for rows in (fold.train, fold.validation):
            if len(np.unique(rows)) < len(rows):
                raise _overlapping(folds, f"fold {number} has a row twice on one side")


def _overlapping(folds: Folds, what: str) -> DataError:
    return DataError(
        f"in {folds!r} {what}.",
        "A row is on one side of a split, and there once; a score on rows that were trained on measures memory.",
        "Leave these rows out of one side.",
    )


def _name_of(rows: Any) -> str:
    if callable(rows):
        return str(getattr(rows, "__name__", type(rows).__name__))
    if len(_several(rows)) > 1 or not hasattr(rows, "__len__"):
        return type(rows).__name__
    return f"{len(rows):,} rows"


def _check_k(kind: type, k: object) -> None:
    if not isinstance(k, int) or k < 2:
        raise DataError(
            f"the folds are {kind.__name__}({k!r}).",
            "The number of folds is an integer of at least 2.",
            f"Use e.g. {kind.__name__}(5), or Holdout(0.1) to train once.",
        )


def _checked_groups(folds: GroupKFold, groups: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    if groups is None:
        raise DataError(
            f"the folds are {folds!r}, but the dataset has no groups.",
            "GroupKFold needs groups: which rows belong together, e.g. those of one speaker.",
            "Give them with Dataset(x, y, groups=...), or use KFold.",
        )
    if (n_groups := len(np.unique(groups))) < folds.k:
        raise DataError(
            f"{folds!r} cannot be made from {n_groups} group(s).",
            "Each part needs at least one group.",
            f"Use at most GroupKFold({n_groups})." if n_groups > 1 else "Use KFold, or data with more groups.",
        )
    return groups


def _check_trained(folds: GroupKFold, y: npt.NDArray[Any], train: npt.NDArray[Any], held: npt.NDArray[Any]) -> None:
    if len(unseen := np.setdiff1d(y[held], y[train])):
        raise DataError(
            f"in {folds!r} class {unseen[0]} is in one part only.",
            "Every class to validate on must also be among the training rows.",
            f"Use fewer folds, leave class {unseen[0]} out, or use KFold.",
        )


def _check_classes(folds: Holdout | KFold, y: npt.NDArray[Any]) -> None:
    labels, counts = np.unique(y, return_counts=True)
    if len(labels) == 0:
        return
    rarest = int(np.argmin(counts))
    needed = folds.k if isinstance(folds, KFold) else 2
    if counts[rarest] < needed:
        raise DataError(
            f"class {labels[rarest]} has {counts[rarest]} row(s), too few for {folds!r}.",
            f"Every class needs at least {needed} rows, so that each part gets one.",
            f"Add rows of class {labels[rarest]}, leave that class out, or use fewer folds.\n"
            "If y holds numbers to predict, not labels: y.astype('float32').",
        )
    n_train, n_validation = _holdout_sizes(folds, len(y))
    if min(n_train, n_validation) < len(labels):
        raise DataError(
            f"{folds!r} of {len(y)} rows leaves {n_train} to train on and {n_validation} to validate on; "
            f"the smallest class, {labels[rarest]}, has {counts[rarest]} rows.",
            f"Both parts need at least one row for each of the {len(labels)} classes.",
            f"Use Holdout({_fair_fraction(len(labels), len(y))}), KFold(2), or more rows.",
        )


def _check_size(folds: Holdout | KFold, n: int) -> None:
    n_train, n_validation = _holdout_sizes(folds, n)
    if n_train < 1 or n_validation < 1 or (isinstance(folds, KFold) and folds.k > n):
        raise DataError(
            f"{folds!r} cannot be made from {n} rows.",
            "Each part needs at least one row.",
            "Use fewer folds, another fraction, or more rows.",
        )


def _holdout_sizes(folds: Holdout | KFold, n: int) -> tuple[int, int]:
    """Return (n_train, n_validation) as scikit-learn rounds them; (n, n) for k folds."""
    if isinstance(folds, KFold):
        return n, n
    n_validation = int(np.ceil(folds.fraction * n))
    return n - n_validation, n_validation


def _fair_fraction(n_classes: int, n: int) -> float:
    # One row per class at least, rounded up to two digits, and never more than half.
    return min(0.5, float(np.ceil(100 * n_classes / n)) / 100)


def _sorted(positions: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.sort(positions).astype(np.int64)
