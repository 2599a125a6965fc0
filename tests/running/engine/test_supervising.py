"""What a trial is charged with is its own time and its own death, and nobody else's."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autotune.running.engine import supervising
from autotune.running.engine.supervising import Supervision, Supervisor
from autotune.running.study.settings import KnownSpace
from autotune.running.tracking.events import Event
from autotune.running.trial.requests import Request
from autotune.running.trial.trial_task import Outcome
from autotune.training.checkpoints.folder import TrialFolder


class World:
    """A clock, a kernel that counts whom it kills for lack of memory, and a trial process with a script.

    Attributes:
        script: What happens in turn: a number of seconds passes, or the process says something.
        death: The exit status of the process, once its script is over.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.kills = 0
        self.script: Iterator[Any] = iter(())
        self.death = -signal.SIGKILL
        self.connection = self
        self.server = 1
        self.number = 0
        self.pid = 1
        self.said: list[Any] = []
        self.user_attrs: dict[str, Any] = {}

    def poll(self, timeout_s: float) -> bool:
        happens = next(self.script, None)
        if isinstance(happens, (int, float)):
            self.now += happens or timeout_s
            return False
        self.said = [happens]
        return True

    def recv(self) -> Any:
        if self.said == [None]:
            raise EOFError
        return self.said.pop()

    def send(self, answer: object) -> None:
        pass

    def kill(self) -> None:
        pass

    def exit_status(self) -> int:
        return self.death


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(supervising.time, "monotonic", lambda: world.now)
    monkeypatch.setattr(supervising, "kernel_kills", lambda: world.kills)
    monkeypatch.setattr(supervising, "died_of_memory", lambda status, before, log: world.kills > before)
    return world


def supervise(world: World, timeout_s: float | None, answer_s: float = 0.0) -> Outcome | None:
    def observe(event: Event) -> None:
        world.now += answer_s

    parts: Any = {"study": None, "claims": None, "launcher": None, "task": None, "known_space": None}
    supervisor = Supervisor(
        **parts, would_keep=lambda value: False, timeout_s=timeout_s, stopping=threading.Event(), observer=observe
    )
    anything: Any = world
    return Supervision(supervisor, anything, anything, TrialFolder(Path("trial")), set(), anything, world.kills).run()


DONE = Outcome("complete", 0.5)
NOTE = Request("note", ("an answer takes long", None))


def test_a_trial_that_hangs_is_ended_after_its_time(world: World) -> None:
    world.script = iter([0] * 1000)
    outcome = supervise(world, timeout_s=10.0)
    assert outcome is not None
    assert (outcome.kind, outcome.reason) == ("failed", "timeout")
    assert world.now == pytest.approx(10.0)


def test_time_in_which_a_trial_waits_for_an_answer_is_not_its_own(world: World) -> None:
    world.script = iter([1.0, NOTE, 1.0, NOTE, 1.0, DONE])
    assert supervise(world, timeout_s=10.0, answer_s=60.0) is DONE


def test_time_in_which_the_parent_was_stopped_is_not_the_trials(world: World) -> None:
    world.script = iter([1.0, 3600.0, 1.0, DONE])
    assert supervise(world, timeout_s=10.0) is DONE


def test_a_death_is_of_memory_only_if_the_kernel_has_just_killed_for_it(world: World) -> None:
    def others_die_first() -> Iterator[Any]:
        yield 1.0
        world.kills += 1  # somebody else's process, long before
        yield 1.0

    def dies_of_it() -> Iterator[Any]:
        yield 1.0
        world.kills += 1
        yield None

    world.script = others_die_first()
    lost = supervise(world, timeout_s=None)
    world.script = dies_of_it()
    killed = supervise(world, timeout_s=None)
    assert lost is not None
    assert killed is not None
    assert [lost.reason, killed.reason] == ["lost", "oom"]


@pytest.mark.parametrize("limits", [("a", 1), (2, 1), (0, math.inf), (math.nan, 1), (None, 1)])
def test_what_is_no_range_is_left_to_the_real_trial_to_refuse(limits: tuple[Any, Any]) -> None:
    asked: list[Request] = []

    class Configurations:
        def suggested(self, trial: object, answer: Any) -> tuple[str, str]:
            asked.append(answer.args[1])
            return "error", "as Optuna says it"

    claims: Any = SimpleNamespace(held=SimpleNamespace(holds=lambda number: True), configurations=Configurations())
    parts: Any = {"study": None, "launcher": None, "task": None, "known_space": KnownSpace({"n": None}, frozenset())}
    supervisor = Supervisor(
        **parts, claims=claims, would_keep=bool, timeout_s=None, stopping=threading.Event(), observer=print
    )
    anything: Any = SimpleNamespace(number=0)
    request = Request("suggest_int", ("n", *limits), {"step": 1, "log": False})
    assert supervisor.answer(anything, anything, request, set()) == ("error", "as Optuna says it")
    assert asked == [request]
