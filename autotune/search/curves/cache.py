"""What the model of a study need not compute again. Results are the same without it, only later.

Used under `one_thread`, by one caller at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from optuna.trial import FrozenTrial

T = TypeVar("T")


class Recent(Generic[T]):
    """The last results of functions of the same things, which need not be computed again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._results: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` returns, or has returned for this key before."""
        if key not in self._results:
            self._results[key] = make()
            if len(self._results) > self._most:
                self._results.popitem(last=False)
        return self._results[key]


class OfFinished(Generic[T]):
    """What is made of finished trials, which never change: storages hand out the same objects again and again."""

    def __init__(self) -> None:
        self._made: Recent[tuple[FrozenTrial, T]] = Recent(20_000)

    def get(self, trial: FrozenTrial, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` makes of a finished trial, or has made for this key before."""
        # The trial is kept beside its result, so that no other one can get its identity.
        return self._made.get((id(trial), key), lambda: (trial, make()))[1]
