"""A run that can be stopped at any moment: by a signal, or because its time is over."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator

from autotune.errors import StorageLostError, UsageError
from autotune.running.processes import Launcher, LauncherClosedError, on_signals
from autotune.running.storages import Patience


@contextlib.contextmanager
def stoppable(launcher: Launcher, timeout_s: float | None) -> Iterator[tuple[threading.Event, Patience]]:
    """Close `launcher` at a signal, after `timeout_s`, and at the end of the block.

    Yields:
        An event that is set before that is done, and how to wait for a storage that is away: not any more then.

    Raises:
        UsageError: If the timeout was over before anything could start, or while the storage was away.
        KeyboardInterrupt: If a signal came.
    """
    stopping, over = threading.Event(), threading.Event()

    def stop() -> None:
        over.set()
        stopping.set()
        launcher.close()

    with on_signals(stop) as interrupted, contextlib.closing(launcher), warnings.catch_warnings():
        # reason: TPE's `group` says that it is experimental at every construction; it has been there since 2021.
        warnings.filterwarnings("ignore", "Argument ``group`` is an experimental")
        # reason: lists are carried by all storages, as JSON; what is not, a trial process refuses before it asks.
        warnings.filterwarnings("ignore", "Choices for a categorical distribution should be")
        try:
            with _after(timeout_s, stop):
                yield stopping, Patience(sleep=over.wait)
        except LauncherClosedError:
            if interrupted.is_set():
                raise KeyboardInterrupt from None
            raise _too_short(timeout_s) from None
        except StorageLostError:  # it says where what the storage held is now
            raise
        except Exception as error:
            if interrupted.is_set():
                raise KeyboardInterrupt from error
            raise
        if interrupted.is_set():
            raise KeyboardInterrupt


@contextlib.contextmanager
def _after(timeout_s: float | None, act: Callable[[], None]) -> Iterator[None]:
    """Call `act` in a thread of its own if the block takes longer than `timeout_s`."""
    if timeout_s is None or timeout_s > threading.TIMEOUT_MAX:
        yield
        return
    timer = threading.Timer(timeout_s, act)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _too_short(timeout_s: float | None) -> UsageError:
    return UsageError(
        f"the timeout of {timeout_s:g} seconds was over before the first trial could start.",
        "Loading TensorFlow, the study file and its data takes some seconds, too.",
        "Run the same command with a larger --timeout; nothing is lost.",
    )
