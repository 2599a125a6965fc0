"""How long to wait for an unreachable storage, and the messages about it."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from autotune.escaping import say
from autotune.running.storages.outages import reason


def _say(line: str) -> None:
    say(line, sys.stderr)


@dataclass(frozen=True)
class Patience:
    """How to wait for a storage.

    Attributes:
        patience_s: How long to wait for an open storage.
        opening_s: How long to wait while opening a storage; less, because its URL may be wrong.
        first_wait_s: The wait before the second attempt; it doubles with each further attempt.
        longest_wait_s: The longest wait between two attempts.
        clock: Returns seconds; must never go back.
        sleep: Waits so many seconds; returns True (like `threading.Event.wait`) to give up at once.
        chance: Makes waits random, so that many processes do not ask at the same moment.
        say: Shows a line to the user.
    """

    patience_s: float = 1800.0
    opening_s: float = 60.0
    first_wait_s: float = 0.1
    longest_wait_s: float = 5.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    chance: random.Random = field(default_factory=random.Random)
    say: Callable[[str], None] = _say

    def wait_s(self, attempts: int) -> float:
        """Return the wait in seconds after so many attempts."""
        longest = min(self.first_wait_s * 2.0 ** min(attempts - 1, 60), self.longest_wait_s)
        return longest * self.chance.uniform(0.5, 1.0)


class Outage:
    """Whether the storage is unreachable now, for all threads of a process, which report that only once."""

    def __init__(self, name: str, patience: Patience) -> None:
        self._name = name
        self._patience = patience
        self._lock = threading.Lock()
        self._since: float | None = None

    def wait(self, error: Exception, began: float, attempts: int) -> bool:
        """Wait before the next of `attempts` so far, which began at `began`; return False to give up."""
        wait_s = self._patience.wait_s(attempts)
        if self._patience.clock() + wait_s - began > self._patience.patience_s:
            return False
        if attempts > 1:  # if the second attempt succeeds, only a connection was lost
            self._begin(error)
        return self._patience.sleep(wait_s) is not True

    def _begin(self, error: Exception) -> None:
        with self._lock:
            if self._since is not None:
                return
            self._since = self._patience.clock()
            self._patience.say(f"The storage {self._name} does not answer: {reason(error)}. Waiting for it ...")

    def end(self, sent: float) -> None:
        """Note that the storage has answered a request that was sent at this time."""
        if self._since is None or sent < self._since:
            return
        with self._lock:
            if self._since is None:
                return
            seconds = self._patience.clock() - self._since
            self._since = None
            self._patience.say(f"The storage {self._name} answers again after {seconds:.0f} s.")
