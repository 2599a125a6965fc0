"""Caches for the model of a study; they save time and do not change results.

They are not thread-safe: callers hold `one_thread`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from optuna.trial import FrozenTrial

T = TypeVar("T")


class Recent(Generic[T]):
    """A cache of the last results, by key.

    Args:
        most: The number of results that are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._results: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the result for this key; call `make` if it is not cached."""
        if key not in self._results:
            self._results[key] = make()
            if len(self._results) > self._most:
                self._results.popitem(last=False)
        return self._results[key]


class OfFinished(Generic[T]):
    """A cache of results for finished trials, which never change and which storages return as the same objects."""

    def __init__(self) -> None:
        self._made: Recent[tuple[FrozenTrial, T]] = Recent(20_000)

    def get(self, trial: FrozenTrial, key: Hashable, make: Callable[[], T]) -> T:
        """Return the result for a finished trial and this key; call `make` if it is not cached."""
        # The trial is kept together with its result, so that no other trial can get its `id`.
        return self._made.get((id(trial), key), lambda: (trial, make()))[1]
