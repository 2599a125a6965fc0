"""Slots: what one trial at a time may use of the machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Slot:
    """A place for one trial at a time.

    Attributes:
        number: Counted from 0.
        threads: How many threads TensorFlow may use in it.
        environment: Environment variables of its trial processes, e.g. which GPU they see.
    """

    number: int
    threads: int
    environment: Mapping[str, str] = field(default_factory=dict)


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def core_slots(workers: int, threads: int) -> list[Slot]:
    """Return `workers` slots of `threads` threads each."""
    return [Slot(number, threads) for number in range(workers)]
