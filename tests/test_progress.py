"""What a person sees while a search runs."""

from __future__ import annotations

import errno
import io

import pytest
from rich.console import Console

from autotune.progress import LineProgress, LiveProgress, new_progress
from autotune.running.events import Event, Note, RunStarted, StepReported, TrialEnded, TrialStarted

EVENTS: list[Event] = [
    RunStarted("digits-cnn", n_trials=10, finished=2, slots=2, epochs=20, direction="maximize"),
    TrialStarted(slot=0, number=2, reported_steps=0),
    TrialStarted(slot=1, number=3, reported_steps=4),
    StepReported(slot=0, number=2, step=1, value=0.5),
    Note(number=3, text="its checkpoint is damaged; it starts over"),
    TrialEnded(0, 2, "complete", 0.75, "", {"learning_rate": 0.001234567}, steps=20, seconds=9.0),
    TrialStarted(slot=0, number=4, reported_steps=0),
    TrialEnded(1, 3, "failed", None, "nan", {"learning_rate": 9.9}, steps=5, seconds=2.0),
    TrialStarted(slot=1, number=5, reported_steps=0),
    StepReported(slot=1, number=5, step=7, value=0.625),
]


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def test_a_file_gets_one_plain_line_for_each_trial_that_ends() -> None:
    console = Console(file=io.StringIO(), width=40)
    with new_progress(console) as progress:
        assert isinstance(progress, LineProgress)
        for event in EVENTS:
            progress(event)
    assert isinstance(console.file, io.StringIO)
    first, note, second, third = console.file.getvalue().splitlines()
    assert first == "digits-cnn: 2 of 10 trials finished; 2 slots"
    assert note == "trial 3: its checkpoint is damaged; it starts over"
    assert second == "[3/10] trial 2 complete 0.75 after 20 epochs, 9.0 s: learning_rate=0.001235"
    assert third == "[3/10] trial 3 failed (nan) after 5 epochs, 2.0 s: learning_rate=9.9"


@pytest.mark.parametrize("width", [120, 50])
def test_a_terminal_shows_the_slots_the_best_and_the_failures(width: int) -> None:
    console = terminal(width)
    progress = new_progress(console)
    assert isinstance(progress, LiveProgress)
    for event in EVENTS:
        progress(event)
    with console.capture() as capture:
        console.print(progress.view())
    shown = " ".join(capture.get().split())
    assert "digits-cnn: 3/10 finished" in shown
    assert "best 0.75 (trial 2)" in shown
    assert "1 failed (nan)" in shown
    assert "0 4 0/20" in shown
    assert "1 5 7/20 0.625" in shown


def test_a_terminal_shows_a_note_to_its_end() -> None:
    console = terminal(30)
    LiveProgress(console)(Note(number=7, text="its checkpoint in some far place is damaged; it starts over"))
    assert isinstance(console.file, io.StringIO)
    shown = " ".join(console.file.getvalue().split())
    assert shown == "trial 7: its checkpoint in some far place is damaged; it starts over"


def test_a_file_for_which_there_is_no_room_does_not_end_the_search() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    LineProgress(Console(file=Full()))(EVENTS[0])


def test_before_the_study_is_loaded_a_terminal_says_what_is_going_on() -> None:
    console = terminal(80)
    with console.capture() as capture:
        console.print(LiveProgress(console).view())
    assert "Loading" in capture.get()
