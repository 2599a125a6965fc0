"""A context that ends a run at a signal or when its time is over."""

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
        An event that is set before the launcher is closed, and the patience with an unreachable storage, which ends at
        the same moment.

    Raises:
        UsageError: If the timeout was over before the first trial could start, or while the storage was unreachable.
        KeyboardInterrupt: If a signal came.
    """
    stopping, over = threading.Event(), threading.Event()

    def stop() -> None:
        over.set()
        stopping.set()
        launcher.close()

    with on_signals(stop) as interrupted, contextlib.closing(launcher), warnings.catch_warnings():
        # reason: TPE warns at every construction that `group` is experimental; Optuna has had it since 2021.
        warnings.filterwarnings("ignore", "Argument ``group`` is an experimental")
        # reason: all storages keep lists, as JSON; a trial process refuses other values itself.
        warnings.filterwarnings("ignore", "Choices for a categorical distribution should be")
        try:
            with _after(timeout_s, stop):
                yield stopping, Patience(sleep=over.wait)
        except LauncherClosedError:
            if interrupted.is_set():
                raise KeyboardInterrupt from None
            raise _too_short(timeout_s) from None
        except StorageLostError:  # its text says where the content of the storage was saved
            raise
        except Exception as error:
            if interrupted.is_set():
                raise KeyboardInterrupt from error
            raise
        if interrupted.is_set():
            raise KeyboardInterrupt


@contextlib.contextmanager
def _after(timeout_s: float | None, act: Callable[[], None]) -> Iterator[None]:
    """Call `act` in a separate thread if the block takes longer than `timeout_s`."""
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
        "The timeout includes some seconds for loading TensorFlow, the study file and its data.",
        "Run the same command with a larger --timeout; nothing is lost.",
    )
