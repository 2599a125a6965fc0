"""Ctrl-C, SIGTERM and SIGHUP, turned into a question that can be asked at any time: are we to stop?"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def on_signals(stop: Callable[[], None]) -> Iterator[threading.Event]:
    """Call `stop`, in a thread of its own, when this process is asked to end.

    A signal handler may run between any two steps of the main thread, in the middle of a commit or with a lock held,
    so the handler itself only writes a byte. Outside the main thread, where Python allows no handlers, nothing is
    installed.

    Yields:
        An event that is set once a signal has come.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    readable, writable = os.pipe()

    def wait_for_signal() -> None:
        if os.read(readable, 1) == b"s":
            asked.set()
            stop()

    def note_signal(number: int, frame: object) -> None:
        os.write(writable, b"s")

    watcher = threading.Thread(target=wait_for_signal, name="autotune-signals", daemon=True)
    watcher.start()
    before = {number: signal.signal(number, note_signal) for number in _SIGNALS if not _is_under_nohup(number)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.write(writable, b"e")
        watcher.join()
        os.close(readable)
        os.close(writable)


def _is_under_nohup(number: int) -> bool:
    """Say whether whoever started us wants us to outlive the terminal."""
    return number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) == signal.SIG_IGN
