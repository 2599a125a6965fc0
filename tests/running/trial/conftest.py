"""A trial in a trial process, which may be called again and again, as after interruptions, and a parent for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import autotune
from autotune.running.trial.answering import Replay
from autotune.running.trial.piped_trial import KeepingPlace, PipedTrial
from autotune.running.trial.requests import Request
from autotune.training.checkpoints.folder import TrialFolder

FACTS = ("toy", "digest of the code", 0, "trial", 3)


class Parent(Replay):
    """A parent that prunes after a step, and is gone before it learns of another one."""

    prune_after: int | None = None
    gone_before: int | None = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.notes: list[str] = []

    def send(self, request: Request) -> None:
        if request.name == "report" and request.args[1] == self.gone_before:
            raise BrokenPipeError
        if request.name == "note":
            self.notes.append(request.args[0])
        super().send(request)

    def recv(self) -> tuple[str, Any]:
        if self._request.name == "should_prune":
            return "value", self.prune_after in self.reports
        if self._request.name == "has_reported":
            return "value", self.has_reported
        return super().recv()

    has_reported = False


@dataclass
class Bench:
    """A trial that can be called again and again, as by new processes."""

    folder: TrialFolder
    parent: Parent = field(default_factory=lambda: Parent({"x": 0.25}, 3))

    def process(self, facts: tuple[Any, ...] = FACTS, folder: TrialFolder | None = None, **parent: Any) -> Any:
        """Return the trial of a new process."""
        params = parent.pop("params", {"x": 0.25})
        self.parent = Parent(params, parent.pop("number", 3))
        for name, value in parent.items():
            setattr(self.parent, name, value)
        return PipedTrial(self.parent, keeping=KeepingPlace(folder or self.folder, facts))

    def keep_epochs(self, *epochs: int, **given: Any) -> None:
        trial = self.process()
        autotune.kept(trial)
        for epoch in epochs:
            autotune.keep(trial, epoch, 1 / epoch, **{"state": {"epochs": list(epochs)}, **given})


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(TrialFolder(tmp_path / "trial"))


@pytest.fixture
def new_bench() -> Callable[[TrialFolder], Bench]:
    return Bench
