"""The count of failed trials in a row, and the error that ends a run with too many of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from autotune.errors import StudyFailedError
from autotune.running.trial import Outcome
from autotune.search.history import FAULTS_OF_CONFIGURATION

_MAX_SERVER_DEATHS = 3  # after so many deaths in a row the fork server is not started again
_PATIENCE = 10  # the limit is so many times larger for faults of configurations, once another configuration has worked


class FailuresInARow:
    """The failures since the last trial that did not fail; thread-safe.

    Args:
        most: How many failures end the run.
        has_worked: Tells whether any configuration of the study has worked.
        log_of: From a trial's number to its log.
        others_work: Tells whether other configurations get through their first epoch. It is asked once: after the first
            error, if no trial has reported yet.
    """

    def __init__(
        self,
        most: int,
        has_worked: Callable[[], bool],
        log_of: Callable[[int], Path],
        others_work: Callable[[], bool] = lambda: True,
    ) -> None:
        self._most = most
        self._has_worked = has_worked
        self._log_of = log_of
        self._others_work = others_work
        self._do_others_work: bool | None = None  # None until they are tried
        self._trying = threading.Lock()
        self._lock = threading.Lock()
        self._reasons: list[str] = []
        self._dead_servers: set[int] = set()  # since the last new report of a trial

    def count(self, number: int, outcome: Outcome, has_failed: bool, came_further: bool) -> None:
        """Count the end of a trial.

        Args:
            number: The trial's number.
            outcome: How its process ended.
            has_failed: Whether the trial is FAIL now.
            came_further: Whether it has reported something new.

        Raises:
            StudyFailedError: If too many trials have failed, or the fork server has died too often.
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
        is_hopeless = has_failed and outcome.reason == "error" and not came_further and not self._would_others_work()
        if is_hopeless or self._are_enough(reasons):
            raise self._failed(number, outcome, len(reasons))

    def _are_enough(self, reasons: Sequence[str]) -> bool:
        """Tell whether failures with these reasons end the run.

        Faults of configurations need `_PATIENCE` times as many failures, once another configuration has worked.
        """
        others = [reason for reason in reasons if reason not in FAULTS_OF_CONFIGURATION]
        if len(reasons) < self._most or len(others) >= self._most or len(reasons) >= self._most * _PATIENCE:
            return len(reasons) >= self._most
        return not self._has_worked()

    def _would_others_work(self) -> bool:
        with self._trying:  # other slots wait for the answer
            if self._do_others_work is None:
                self._do_others_work = self._others_work()
            return self._do_others_work

    def _count_server_death(self, outcome: Outcome) -> None:
        """Count the death of the fork server, if that is why the trial was lost."""
        with self._lock:
            if outcome.reason == "server":
                self._dead_servers.add(outcome.server)  # a set, because many trials may die with one server
            n_deaths = len(self._dead_servers)
        if n_deaths >= _MAX_SERVER_DEATHS:
            raise StudyFailedError(
                f"the process that starts trial processes has died {n_deaths} times in a row.",
                "It should live as long as the run; it dies if memory runs out or another program kills it.",
                "Read the kernel's messages (dmesg), free memory or use fewer --workers, and run again.",
            )

    def _failed(self, number: int, outcome: Outcome, n_failures: int) -> StudyFailedError:
        one, many = f"trial {number} has failed", f"{n_failures} trials in a row have failed; the last, trial {number}"
        code = f"{outcome.code}\n" if outcome.code else ""
        return StudyFailedError(
            f"{one if n_failures == 1 else many}, with the reason {outcome.reason!r}: {outcome.why}",
            f"{code}Its output is in {self._log_of(number)}",
            "Correct the study file and run the same command again: failed trials do not count.",
        )
