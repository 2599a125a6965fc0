"""Leases, by which parents on different machines notice that one of them has died.

Each parent regularly increases a counter in the study's system attributes, in every kind of storage. Another parent
considers it gone if the counter has not changed for longer than the lease. It measures this with its own clock only:
clocks of different machines are never compared. Time in which it could not read (it was suspended, or the storage was
unreachable) does not count. A parent whose own lease is over may be considered gone by others; so it first checks in
the storage that it still owns a trial, and then writes to it.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import optuna

from autotune.optuna_inside import system_attrs_of
from autotune.parsing import parsed_or_none

_PARENT = "autotune:parent:"
_RENEWALS = 4  # in the time of one lease
_MOST_SLOTS = 1_000_000
_YEAR_S = 365 * 24 * 3600.0

Clock = Callable[[], float]


def boot_clock() -> float:
    """Return the seconds of a clock that, if the system has one, also counts while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True)
class SignOfLife:
    """The record that a parent writes into the storage to show that it is alive.

    Attributes:
        beat: The number of renewals; -1 once the parent has ended.
        lease_s: How long each renewal is valid, in seconds; more than zero, at most a year.
        slots: The number of the parent's slots.
        seen: The time of the last renewal in UTC by the parent's clock, for display only.
    """

    beat: int
    lease_s: float
    slots: int
    seen: str

    def __post_init__(self) -> None:
        if not 0 < self.lease_s <= _YEAR_S or not 0 <= self.slots <= _MOST_SLOTS:
            raise ValueError("it is out of range")
        if self.seen and datetime.datetime.fromisoformat(self.seen).tzinfo is None:
            raise ValueError("it was seen in no time zone")


def read_signs(study: optuna.Study) -> dict[str, SignOfLife]:
    """Return the signs of life of a study's parents, by parent name."""
    return _signs(system_attrs_of(study))


def is_recent(sign: SignOfLife | None) -> bool:
    """Tell whether a parent was recently alive, by this machine's clock: for display, never for a decision."""
    if sign is None or sign.beat < 0 or not sign.seen:
        return False
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(sign.seen)
    return age.total_seconds() < 2 * sign.lease_s


class Lease:
    """This parent's lease, and what this parent has seen of the leases of others.

    Args:
        storage: The storage.
        study_id: The study's id in it.
        parent: This parent's name.
        lease_s: How long a renewal is valid, in seconds; more than zero, at most a year.
        slots: The number of this parent's slots.
        clock: Returns seconds; must never go back.
    """

    def __init__(
        self,
        storage: optuna.storages.BaseStorage,
        study_id: int,
        parent: str,
        lease_s: float,
        slots: int,
        clock: Clock = boot_clock,
    ) -> None:
        self._storage = storage
        self._study_id = study_id
        self._parent = parent
        self.slots = slots
        self._clock = clock
        self._beat = 0
        self._renewed: float | None = None
        self._looked: float | None = None
        self._still: dict[str, tuple[int, float]] = {}  # parent -> its beat, and when it was first seen
        self.lease_s = min(lease_s, _YEAR_S)
        self.interval_s = self.lease_s / _RENEWALS

    def renew(self) -> None:
        """Show that this parent is alive."""
        began = self._clock()  # before the write, which may take long: the lease must not end later than others think
        self._beat += 1
        self._write(self._beat)
        self._renewed = began

    def is_fresh(self) -> bool:
        """Tell whether this lease is valid, so that no other parent can consider this one gone."""
        return self._renewed is not None and self._clock() - self._renewed < self.lease_s

    def end(self) -> None:
        """Show that this parent has ended, so that others need not wait for the end of its lease."""
        self._write(-1)

    def gone(self, parents: Iterable[str]) -> set[str]:
        """Return those of `parents` that have ended or whose lease is over."""
        signs = _signs(self._storage.get_study_system_attrs(self._study_id))
        now = self._clock()
        if self._looked is None or now - self._looked > 2 * self.interval_s:
            self._still = {}  # we did not look for too long: all others get their full lease again
        self._looked = now
        before, self._still = self._still, {}
        found = set()
        for parent in parents:
            sign = signs.get(parent) or SignOfLife(0, self.lease_s, 0, "")
            beat, since = before.get(parent, (sign.beat, now))
            self._still[parent] = (sign.beat, since if sign.beat == beat else now)
            if sign.beat < 0 or now - self._still[parent][1] > sign.lease_s:
                found.add(parent)
        return found

    def _write(self, beat: int) -> None:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        sign = SignOfLife(beat, self.lease_s, self.slots, now)
        self._storage.set_study_system_attr(self._study_id, _PARENT + self._parent, asdict(sign))


def _signs(attributes: Mapping[str, Any]) -> dict[str, SignOfLife]:
    found = {key: value for key, value in attributes.items() if key.startswith(_PARENT)}
    signs = {key.removeprefix(_PARENT): parsed_or_none(SignOfLife, value) for key, value in found.items()}
    return {parent: sign for parent, sign in signs.items() if sign is not None}
