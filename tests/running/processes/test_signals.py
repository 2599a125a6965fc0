"""Signals become a call of `stop` in a thread of its own, and only while somebody listens."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from autotune.running.processes.signals import interrupt_runs, on_signals

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def _handlers_of_a_terminal() -> Iterator[None]:
    """Undo what whoever started the tests did to SIGHUP (nohup) and SIGINT (a job in the background)."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_calls_stop_in_another_thread_and_sets_the_event(number: signal.Signals) -> None:
    callers: list[str] = []
    called = threading.Event()

    def stop() -> None:
        callers.append(threading.current_thread().name)
        called.set()

    before = _handlers()
    with on_signals(stop) as asked:
        assert not asked.is_set()
        assert not set(_handlers()) & set(before)
        os.kill(os.getpid(), number)
        called.wait()
        assert asked.is_set()
    assert callers != []
    assert threading.main_thread().name not in callers
    assert _handlers() == before


def test_impatience_calls_stop_once() -> None:
    calls: list[int] = []
    called = threading.Event()

    def stop() -> None:
        calls.append(1)
        called.set()

    with on_signals(stop):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        called.wait()
    assert calls == [1]


def test_without_a_signal_stop_is_not_called_and_nothing_is_left() -> None:
    before = _handlers()
    threads = threading.active_count()
    files = len(os.listdir("/dev/fd"))
    with on_signals(lambda: pytest.fail("nobody asked for this")) as asked:
        pass
    assert not asked.is_set()
    assert _handlers() == before
    assert threading.active_count() == threads
    assert len(os.listdir("/dev/fd")) == files


def test_handlers_are_restored_after_an_error() -> None:
    before = _handlers()
    with pytest.raises(KeyError), on_signals(lambda: None):
        raise KeyError
    assert _handlers() == before


def test_outside_the_main_thread_nothing_is_installed() -> None:
    before = _handlers()
    seen: list[list[object]] = []

    def listen() -> None:
        with on_signals(lambda: None) as asked:
            seen.append([*_handlers(), asked.is_set()])

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [[*before, False]]


def test_under_nohup_the_end_of_the_terminal_is_no_end() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with on_signals(lambda: pytest.fail("nobody asked for this")) as asked:
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert not asked.is_set()


def test_runs_outside_the_main_thread_are_interrupted_by_a_call() -> None:
    stopped = threading.Event()
    entered = threading.Event()
    seen: list[bool] = []

    def host() -> None:
        with on_signals(stopped.set) as asked:
            entered.set()
            stopped.wait()
            seen.append(asked.is_set())

    thread = threading.Thread(target=host)
    thread.start()
    entered.wait()
    interrupt_runs()
    interrupt_runs()  # once more is no harm
    thread.join()
    interrupt_runs()  # and neither is one after the end
    assert seen == [True]
