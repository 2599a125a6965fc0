"""A thread that calls a function on Ctrl-C, SIGTERM or SIGHUP."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_listening: set[int] = set()  # pipes of the runs in this process: a byte in one asks its run to stop
_changing = threading.Lock()


def interrupt_runs() -> None:
    """Ask every run in this process to stop, like a signal. For programs that run studies outside the main thread."""
    with _changing:
        for writable in _listening:
            os.write(writable, b"s")


@contextlib.contextmanager
def on_signals(stop: Callable[[], None]) -> Iterator[threading.Event]:
    """Call `stop` in a separate thread when this process gets a signal to end, or when `interrupt_runs` is called.

    A signal handler may run between any two steps of the main thread, even during a commit or while a lock is held. So
    the handler itself only writes a byte. Python allows handlers in the main thread only; elsewhere this installs none.

    Yields:
        An event that is set at the first signal.
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
    """Tell whether this process was started by `nohup`, so that it must not end with its terminal."""
    return number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) == signal.SIG_IGN
