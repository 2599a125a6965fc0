"""Leases: how parents that share nothing but a storage know of each other's death.

Each parent renews a counter in the study's system attributes, whatever the kind of storage. An onlooker takes a
parent for gone when its counter has stood still for longer than its lease on the onlooker's own clock: clocks of
different machines are never compared. Time in which the onlooker did not look (it was stopped, or the storage was
away) does not count. A parent whose own lease has run out without a renewal may have been taken for gone: it asks
before it writes.
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
    """Return seconds of a clock that goes on while the machine is suspended, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True)
class SignOfLife:
    """What a parent writes into the storage.

    Attributes:
        beat: How often it was renewed; -1 once the parent has ended.
        lease_s: For how long each renewal is good.
        slots: How many trials it runs at a time.
        seen: When it was renewed, by the parent's own clock, in UTC; for people only.
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
    """Return the signs of life of a study's parents, by the parents' names."""
    return _signs(system_attrs_of(study))


def is_recent(sign: SignOfLife | None) -> bool:
    """Say whether a parent was renewed lately by this machine's clock: good enough for people, not for decisions."""
    if sign is None or sign.beat < 0 or not sign.seen:
        return False
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(sign.seen)
    return age.total_seconds() < 2 * sign.lease_s


class Lease:
    """This parent's sign of life, renewed, and what it has seen of the others'.

    Args:
        storage: The storage.
        study_id: The study's id in it.
        parent: This parent's name.
        lease_s: For how long a renewal is good, in seconds; larger than zero, and a year at most.
        slots: How many trials it runs at a time.
        clock: Seconds, of a clock that never goes back.
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
        self._still: dict[str, tuple[int, float]] = {}  # parent -> its beat, and since when it has been that
        self.lease_s = min(lease_s, _YEAR_S)
        self.interval_s = self.lease_s / _RENEWALS

    def renew(self) -> None:
        """Show that this parent is alive."""
        began = self._clock()  # before the write, which may take long: others count from when they see it
        self._beat += 1
        self._write(self._beat)
        self._renewed = began

    def is_fresh(self) -> bool:
        """Say whether nobody can have taken this parent for gone yet."""
        return self._renewed is not None and self._clock() - self._renewed < self.lease_s

    def end(self) -> None:
        """Show that this parent has ended: nobody needs to wait for its lease."""
        self._write(-1)

    def gone(self, parents: Iterable[str]) -> set[str]:
        """Look at other parents, and return those that have ended or whose lease has run out."""
        signs = _signs(self._storage.get_study_system_attrs(self._study_id))
        now = self._clock()
        if self._looked is None or now - self._looked > 2 * self.interval_s:
            self._still = {}  # we were not there: everybody has their full lease again
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
