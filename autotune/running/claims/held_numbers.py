"""The numbers of the trials that slots of this parent hold, and of those that it may have lost."""

from __future__ import annotations

import threading
from collections.abc import Set
from typing import Literal

_Stage = Literal["claiming", "running", "ending"]


class HeldNumbers:
    """Numbers of trials; thread-safe. A slot holds a trial from its claim until its end is stored."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[int, _Stage] = {}
        self._doubtful: set[int] = set()
        self._unheld: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return number in self._stages

    def put(self, number: int, stage: _Stage) -> None:
        """Note what a slot does with a trial."""
        with self._lock:
            self._stages[number] = stage

    def release(self, number: int) -> None:
        """Note that no slot holds a trial any more."""
        with self._lock:
            self._stages.pop(number, None)
            self._doubtful.discard(number)

    def release_unless_ending(self, number: int) -> None:
        """Note that a trial waits again. A slot that is storing its end releases it itself."""
        with self._lock:
            if self._stages.get(number) != "ending":
                self._stages.pop(number, None)

    def running(self) -> set[int]:
        """Return the trials that slots run, without those that they are claiming or ending."""
        with self._lock:
            return {number for number, stage in self._stages.items() if stage == "running"}

    def is_doubtful(self, number: int) -> bool:
        """Tell whether another parent may have taken over a trial that runs here."""
        return number in self._doubtful

    def doubt(self, numbers: Set[int]) -> None:
        """Note that other parents may have taken over these trials."""
        with self._lock:
            self._doubtful |= numbers

    def doubt_only(self, numbers: Set[int]) -> None:
        """Note that other parents have taken over exactly these of the held trials."""
        with self._lock:
            self._doubtful = {number for number in numbers if number in self._stages}

    def unheld_twice(self, marked: Set[int]) -> set[int]:
        """Return the trials with this parent's mark that no slot holds, neither now nor at the last call.

        Their claim was stored, but the storage's answer was lost.

        Args:
            marked: The numbers of all trials with this parent's mark.
        """
        with self._lock:
            unheld = marked - self._stages.keys()
            before, self._unheld = self._unheld, set(unheld)
        return before & unheld
