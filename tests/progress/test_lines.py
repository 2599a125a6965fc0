"""What a file, a pipe or a terminal that can only print shows of a run."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable

import pytest
from rich.console import Console

from autotune.progress import LineProgress, LiveProgress, new_progress
from autotune.running.tracking.events import Event, RunStarted, StepReported, TrialEnded, TrialStarted


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=40)


def printed(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_file_gets_one_plain_line_for_each_trial_that_ends(console: Console, events: list[Event]) -> None:
    with new_progress(console) as progress:
        assert isinstance(progress, LineProgress)
        for event in events:
            progress(event)
    first, note, second, third = printed(console)
    assert first == "digits-cnn: 2 of 10 trials finished; 2 slots"
    assert note == "trial 3: its checkpoint is damaged; it starts over"
    assert second == "[3/10] trial 2 complete 0.75 after 20 epochs, 9.0 s: learning_rate=0.001235"
    assert third == "[3/10] trial 3 failed (nan) after 5 epochs, 2.0 s: learning_rate=9.9"


def test_a_trial_of_several_folds_has_come_so_many_folds_far(console: Console, events: list[Event]) -> None:
    progress = LineProgress(console)
    progress(events[0])
    progress(TrialEnded(0, 2, "complete", 0.75, "", {}, steps=8, seconds=9.0, finished_folds=5))
    progress(TrialEnded(0, 3, "pruned", None, "", {}, steps=3, seconds=9.0))
    assert [line.split("] ")[-1] for line in printed(console)[1:]] == [
        "trial 2 complete 0.75 after 5 folds, 9.0 s: ",
        "trial 3 pruned after 3 epochs, 9.0 s: ",
    ]


def test_a_long_silence_ends_with_the_next_report(console: Console, events: list[Event], clock: Callable) -> None:
    progress = LineProgress(console, clock)
    for event in events:
        progress(event)
    said = printed(console)
    clock.now += 59.0
    progress(StepReported(slot=1, number=5, step=8, value=0.7))
    assert printed(console) == said
    clock.now += 1.0
    assert printed(console) == said  # nobody has reported
    progress(StepReported(slot=1, number=5, step=9, value=0.9812))
    assert printed(console) == [*said, "running: trial 4 epoch 0/20, trial 5 epoch 9/20 0.9812"]
    clock.now += 59.0
    progress(StepReported(slot=1, number=5, step=10, value=0.9))
    assert len(printed(console)) == len(said) + 1


def test_a_trial_that_failed_says_why_before_its_hyperparameters(console: Console, clock: Callable) -> None:
    progress = LineProgress(console, clock)
    why = "ValueError: bad (study.py:2)"
    progress(TrialEnded(0, 4, "failed", None, "error", {"x": 1}, steps=0, seconds=0.2, why=why))
    assert printed(console) == [f"[0/0] trial 4 failed (error), 0.2 s: {why}; x=1"]


def test_any_line_ends_a_silence(console: Console, events: list[Event], clock: Callable) -> None:
    progress = LineProgress(console, clock)
    for event in events:
        progress(event)
    clock.now += 59.0
    progress(TrialEnded(0, 4, "pruned", None, "", {}, steps=3, seconds=60.0))
    clock.now += 1.0
    progress(StepReported(slot=1, number=5, step=8, value=0.7))
    assert not [line for line in printed(console) if line.startswith("running")]


def test_of_very_many_trials_that_run_only_some_are_named(console: Console, clock: Callable) -> None:
    progress = LineProgress(console, clock)
    progress(RunStarted("toy", 100, 0, slots=20, epochs=None, direction="minimize"))
    for slot in range(20):
        progress(TrialStarted(slot, slot))
    clock.now += 60.0
    progress(StepReported(slot=0, number=0, step=7, value=0.5))
    line = printed(console)[-1]
    assert line.startswith("running: trial 0 step 7 0.5, trial 1 step 0, ")
    assert line.endswith(", trial 7 step 0, and 12 more")


def test_a_file_for_which_there_is_no_room_does_not_end_the_search(events: list[Event]) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    LineProgress(Console(file=Full()))(events[0])


def test_a_terminal_that_can_only_print_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(new_progress(Console(file=io.StringIO(), force_terminal=True)), LiveProgress)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(new_progress(Console(file=io.StringIO(), force_terminal=True)), LineProgress)
