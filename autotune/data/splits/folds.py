"""Declared folds: a holdout, k folds, folds in order of time, rows of one's own, a splitter of scikit-learn."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy.typing as npt

from autotune.errors import DataError

Parts: TypeAlias = Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any]]]
"""For each fold the positions of the rows to train on, and of those to validate on."""


@runtime_checkable
class Splitter(Protocol):
    """A splitter of scikit-learn, e.g. `TimeSeriesSplit(5, gap=24)`, or an object with the same method."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Parts:
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


def is_in_time(folds: Folds) -> bool:
    """Tell whether folds validate on later rows than they train on."""
    return isinstance(folds, Latest) or type(folds).__name__ == "TimeSeriesSplit"


def draws(folds: Any) -> bool:
    """Tell whether a splitter of scikit-learn draws rows by chance."""
    return hasattr(folds, "random_state") and getattr(folds, "shuffle", True) is not False


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


def redrawn(folds: Folds) -> Folds:
    """Return the folds of a repeat: a splitter of scikit-learn that draws rows loses its own seed."""
    if isinstance(folds, (Holdout, KFold, GroupKFold, Latest, Given)) or not draws(folds):
        return folds
    changed: Any = copy.deepcopy(folds)
    changed.random_state = None
    return changed  # type: ignore[no-any-return]  # reason: a copy of another package's splitter


def each_fold(rows: Any) -> list[Any]:
    is_list = isinstance(rows, (list, tuple)) and len(rows) > 0 and all(hasattr(one, "__len__") for one in rows)
    return list(rows) if is_list else [rows]


def _name_of(rows: Any) -> str:
    if callable(rows):
        return str(getattr(rows, "__name__", type(rows).__name__))
    if len(each_fold(rows)) > 1 or not hasattr(rows, "__len__"):
        return type(rows).__name__
    return f"{len(rows):,} rows"


def _check_k(kind: type, k: object) -> None:
    if not isinstance(k, int) or k < 2:
        raise DataError(
            f"the folds are {kind.__name__}({k!r}).",
            "The number of folds is an integer of at least 2.",
            f"Use e.g. {kind.__name__}(5), or Holdout(0.1) to train once.",
        )
