"""How long a storage is waited for while it is away, and what is said of it."""

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
        patience_s: How long before giving up.
        opening_s: The same for a storage that is to be opened: its URL may be wrong.
        first_wait_s: How long to wait before asking again; twice as long each further time.
        longest_wait_s: How long at most.
        clock: Returns seconds that never go back.
        sleep: Waits so many seconds; returns True (as `threading.Event.wait` does) to give up at once.
        chance: Makes waits differ, so that many who wait do not come all at once.
        say: Shows a line.
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
        """Return how long to wait after so many attempts, in seconds."""
        longest = min(self.first_wait_s * 2.0 ** min(attempts - 1, 60), self.longest_wait_s)
        return longest * self.chance.uniform(0.5, 1.0)


class Outage:
    """Whether the storage is away at the moment, as all threads of a process know it, and as they say it once."""

    def __init__(self, name: str, patience: Patience) -> None:
        self._name = name
        self._patience = patience
        self._lock = threading.Lock()
        self._since: float | None = None

    def wait(self, error: Exception, began: float, attempts: int) -> bool:
        """Wait a moment after the last of some attempts, the first of them at `began`; False to give up."""
        wait_s = self._patience.wait_s(attempts)
        if self._patience.clock() + wait_s - began > self._patience.patience_s:
            return False
        if attempts > 1:  # what the second attempt heals was no more than a lost connection
            self._begin(error)
        return self._patience.sleep(wait_s) is not True

    def _begin(self, error: Exception) -> None:
        with self._lock:
            if self._since is not None:
                return
            self._since = self._patience.clock()
            self._patience.say(f"The storage {self._name} does not answer: {reason(error)}. Waiting for it ...")

    def end(self, sent: float) -> None:
        """Note that a request which was sent at this time has been answered."""
        if self._since is None or sent < self._since:
            return
        with self._lock:
            if self._since is None:
                return
            seconds = self._patience.clock() - self._since
            self._since = None
            self._patience.say(f"The storage {self._name} answers again after {seconds:.0f} s.")
