"""Ctrl-C, SIGTERM and SIGHUP, turned into a question that can be asked at any time: are we to stop?"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_listening: set[int] = set()  # where a byte asks a run of this process to stop
_changing = threading.Lock()


def interrupt_runs() -> None:
    """Ask every run in this process to stop, as a signal does: for hosts that keep the main thread for themselves."""
    with _changing:
        for writable in _listening:
            os.write(writable, b"s")


@contextlib.contextmanager
def on_signals(stop: Callable[[], None]) -> Iterator[threading.Event]:
    """Call `stop`, in a thread of its own, when this process is asked to end, or its runs by `interrupt_runs`.

    A signal handler may run between any two steps of the main thread, in the middle of a commit or with a lock held,
    so the handler itself only writes a byte. Outside the main thread, where Python allows no handlers, none is
    installed.

    Yields:
        An event that is set once a signal has come.
    """
    asked = threading.Event()
    in_main_thread = threading.current_thread() is threading.main_thread()
    handled = [number for number in _SIGNALS if in_main_thread and not _is_under_nohup(number)]
    readable, writable = os.pipe()

    def wait_for_signal() -> None:
        if os.read(readable, 1) == b"s":
            asked.set()
            stop()

    def note_signal(number: int, frame: object) -> None:
        os.write(writable, b"s")

    watcher = threading.Thread(target=wait_for_signal, name="autotune-signals", daemon=True)
    watcher.start()
    before = {number: signal.signal(number, note_signal) for number in handled}
    with _changing:
        _listening.add(writable)
    try:
        yield asked
    finally:
        with _changing:
            _listening.discard(writable)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.write(writable, b"e")
        watcher.join()
        os.close(readable)
        os.close(writable)


def _is_under_nohup(number: int) -> bool:
    """Tell whether whoever started us wants us to outlive the terminal."""
    return number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) == signal.SIG_IGN
