"""BLAS is held to one thread while the model of a study is computed, and has its threads back afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import scipy.linalg  # noqa: F401 -- reason: its BLAS is to be found
from threadpoolctl import threadpool_info, threadpool_limits

from autotune.search.curves.one_thread import one_thread


def n_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_there_is_one_thread_inside_and_as_many_as_before_outside() -> None:
    with threadpool_limits(2, user_api="blas"):
        with one_thread():
            assert n_threads() == {1}
        assert n_threads() == {2}


def test_slots_that_come_at_the_same_time_leave_the_threads_as_they_were() -> None:
    def hold(_: int) -> set[int]:
        with one_thread():
            return n_threads()

    before = n_threads()
    with ThreadPoolExecutor(8) as slots:
        assert list(slots.map(hold, range(40))) == [{1}] * 40
    assert n_threads() == before
