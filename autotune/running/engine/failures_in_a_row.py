"""When so many trials have failed one after the other that there is no sense in going on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from autotune.errors import StudyFailedError
from autotune.running.trial import Outcome
from autotune.search.history import FAULTS_OF_CONFIGURATION

_MAX_SERVER_DEATHS = 3  # a fork server that keeps dying is not started for ever
_PATIENCE = 10  # so many times as many configurations in a row may fail by themselves where others have worked


class FailuresInARow:
    """The failures since a trial has last ended well. Safe in any thread.

    Args:
        most: How many end the study.
        has_worked: Says whether any configuration of the study has worked.
        log_of: From a trial's number to its log.
    """

    def __init__(self, most: int, has_worked: Callable[[], bool], log_of: Callable[[int], Path]) -> None:
        self._most = most
        self._has_worked = has_worked
        self._log_of = log_of
        self._lock = threading.Lock()
        self._reasons: list[str] = []
        self._dead_servers: set[int] = set()  # since a trial has last come further

    def count(self, number: int, outcome: Outcome, has_failed: bool, came_further: bool) -> None:
        """Note how a trial has ended.

        Args:
            number: The trial's number.
            outcome: What became of its process.
            has_failed: Whether the trial is FAIL now.
            came_further: Whether it has reported something new.

        Raises:
            StudyFailedError: If there is no sense in going on.
        """
        if came_further:
            with self._lock:
                self._dead_servers.clear()
        if outcome.kind == "lost" and not has_failed:
            self._count_server_death(outcome)
            return
        with self._lock:
            self._dead_servers.clear()
            self._reasons = [*self._reasons, outcome.reason] if has_failed else []
            reasons = list(self._reasons)
        if self._are_enough(reasons):
            raise self._failed(number, outcome, len(reasons))

    def _are_enough(self, reasons: Sequence[str]) -> bool:
        """Tell whether so many failures, for these reasons, end the study.

        Those that lie in the configuration end it soon only where no other configuration has worked yet.
        """
        others = [reason for reason in reasons if reason not in FAULTS_OF_CONFIGURATION]
        if len(reasons) < self._most or len(others) >= self._most or len(reasons) >= self._most * _PATIENCE:
            return len(reasons) >= self._most
        return not self._has_worked()

    def _count_server_death(self, outcome: Outcome) -> None:
        """Note that the fork server died under a trial, which waits for another one."""
        with self._lock:
            if outcome.reason == "server":
                self._dead_servers.add(outcome.server)  # once, however many trials have died with it
            n_deaths = len(self._dead_servers)
        if n_deaths >= _MAX_SERVER_DEATHS:
            raise StudyFailedError(
                f"the process that starts trial processes has died {n_deaths} times in a row.",
                "It lives as long as the run, unless memory runs out or something kills it.",
                "Look for messages of the kernel (dmesg), free memory or use fewer --workers, and run again.",
            )

    def _failed(self, number: int, outcome: Outcome, n_failures: int) -> StudyFailedError:
        one, many = f"trial {number} has failed", f"{n_failures} trials in a row have failed; the last, trial {number}"
        return StudyFailedError(
            f"{one if n_failures == 1 else many}, with the reason {outcome.reason!r}: {outcome.why}",
            f"What it printed is in {self._log_of(number)}",
            "Correct the study file and run the same command again: failed trials do not count.",
        )
