"""A run that is to stop stops, whatever it waits for."""

from __future__ import annotations

import threading

import pytest

from autotune.errors import UsageError
from autotune.running.engine.stopping import stoppable
from autotune.running.processes.launching import LauncherClosedError


class Launcher:
    """A launcher that is closed, or not yet."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


def test_when_its_time_is_over_nothing_is_started_and_no_storage_is_waited_for() -> None:
    launcher = Launcher()
    with stoppable(launcher, 0.01) as (stopping, patience):  # type: ignore[arg-type]  # reason: closing is all it does
        assert patience.sleep(1e6) is True
        assert launcher.closed.wait()
        assert stopping.is_set()


def test_a_storage_is_waited_for_until_then() -> None:
    with stoppable(Launcher(), None) as (stopping, patience):  # type: ignore[arg-type]  # reason: closing is all it does
        assert patience.sleep(0.0) is False
        assert not stopping.is_set()


def test_a_time_too_short_for_anything_is_a_mistake() -> None:
    def start_too_late() -> None:
        launcher = Launcher()
        with stoppable(launcher, 0.01):  # type: ignore[arg-type]  # reason: closing is all it does
            launcher.closed.wait()
            raise LauncherClosedError

    with pytest.raises(UsageError, match=r"timeout of 0\.01 seconds"):
        start_too_late()
