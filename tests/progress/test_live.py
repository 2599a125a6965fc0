"""The live view on real pseudo-terminals, read back as a person sees it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console, ConsoleDimensions

from autotune.progress import LiveProgress
from autotune.running.tracking.events import Event, Note, RunStarted, StepReported, TrialEnded, TrialStarted

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


class Terminal:
    """A pseudo-terminal: what is written to `console` can be read back.

    It understands what live progress writes: text, line ends, going up, erasing a line, styles and the cursor. Made
    narrower, it breaks lines that are too long, as most terminals do.
    """

    def __init__(self, width: int, height: int) -> None:
        self._main, side = os.openpty()
        os.set_blocking(self._main, False)
        self.console = Console(file=os.fdopen(side, "w", encoding="utf-8"), width=width, height=height)
        self.received = ""
        self._lines = [""]
        self._row = 0

    def resize(self, width: int, height: int) -> None:
        self.screen()
        self.console.size = ConsoleDimensions(width, height)
        lines = [line[at : at + width] for line in self._lines for at in range(0, max(1, len(line)), width)]
        self._lines, self._row = lines, len(lines) - 1

    def screen(self) -> list[str]:
        """Return the lines on the screen, with all that has left it at the top."""
        new = self._read()
        self.received += new
        for token in re.findall(r"\x1b\[[?\d;]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+", new):
            if token == "\n":
                self._row += 1
                self._lines += [""] * (self._row + 1 - len(self._lines))
            elif token == "\x1b[1A":
                self._row -= 1
            elif token == "\x1b[2K":
                self._lines[self._row] = ""
            elif not token.startswith(("\x1b", "\r")):
                self._lines[self._row] += token
        return list(self._lines)

    def _read(self) -> str:
        new = b""
        while True:
            try:
                new += os.read(self._main, 65536)
            except BlockingIOError:
                return new.decode()

    def close(self) -> None:
        self.console.file.close()
        os.close(self._main)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal(80, 20)
    yield terminal
    terminal.close()


def test_the_slots_are_below_the_trials_that_have_ended(terminal: Terminal, events: list[Event], clock: Any) -> None:
    with LiveProgress(terminal.console, clock) as progress:
        for event in events:
            progress(event)
        progress.refresh()
        assert terminal.screen() == [
            "digits-cnn: 2 of 10 trials finished; 2 slots",
            "trial 3: its checkpoint is damaged; it starts over",
            "[3/10] trial 2 complete 0.75 after 20 epochs, 9.0 s: learning_rate=0.001235",
            "[3/10] trial 3 failed (nan) after 5 epochs, 2.0 s: learning_rate=9.9",
            "digits-cnn: 3/10 finished, best val_accuracy 0.75 (trial 2), 1 failed (nan)",
            "running for 0 s, about 38 s left",
            "slot  trial  epoch  val_accuracy  best  s/epoch  time",
            "   0      4   0/20                                0 s",
            "   1      5   7/20         0.625  0.75            0 s",
        ]
        assert HIDE in terminal.received
        assert SHOW not in terminal.received
    assert terminal.screen()[4:] == [""] * 6  # nothing is left of it
    assert terminal.received.rindex(SHOW) > terminal.received.rindex(HIDE)


def test_an_epoch_is_shown_in_place_of_the_one_before(terminal: Terminal, events: list[Event], clock: Any) -> None:
    with LiveProgress(terminal.console, clock) as progress:
        for event in events:
            progress(event)
        progress.refresh()
        before = terminal.screen()
        clock.now += 2.5
        progress(StepReported(slot=1, number=5, step=8, value=0.875))
        progress.refresh()
        after = terminal.screen()
    assert len(after) == len(before)
    assert after[-1].split() == ["1", "5", "8/20", "0.875", "0.875", "2.50", "2", "s"]


def test_a_narrower_terminal_keeps_nothing_of_the_lines_that_it_has_broken(
    terminal: Terminal, events: list[Event], clock: Any
) -> None:
    with LiveProgress(terminal.console, clock) as progress:
        for event in events:
            progress(event)
        progress.refresh()
        terminal.resize(30, 20)
        broken = terminal.screen()
        above = broken.index("digits-cnn: 3/10 finished, bes")
        for _ in range(2):
            progress.refresh()
            assert terminal.screen()[:above] == broken[:above]
            assert [line for line in terminal.screen()[above:] if line] == [
                "digits-cnn: 3/10 finished",
                "best val_accur… 0.75 (trial 2)",
                "1 failed (nan)",
                "running for 0 s",
                "about 38 s left",
                "trial epoch value best s/epoch",
                "    4  0/20",
                "    5  7/20 0.625 0.75",
            ]


def test_no_colour_is_none(terminal: Terminal, events: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with LiveProgress(Console(file=terminal.console.file)) as progress:
        for event in events:
            progress(event)
        progress.refresh()
    terminal.screen()
    styles = set(re.findall(r"\x1b\[([\d;]*)m", terminal.received))
    assert styles <= {"1", "0"}  # bold, and its end


def test_a_note_is_shown_to_its_end_and_other_lines_are_cut(terminal: Terminal) -> None:
    terminal.resize(30, 20)
    with LiveProgress(terminal.console) as progress:
        progress(RunStarted("toy", 5, 0, 1, None, "minimize"))
        progress(Note(number=7, text="its checkpoint in some far place is damaged; it starts over"))
        progress(TrialStarted(0, 0))
        progress(TrialEnded(0, 0, "complete", 0.5, "", {"x": 0.123, "y": 0.456}, 3, 1.0))
    said = [line for line in terminal.screen() if line]
    assert said[0] == "toy: 0 of 5 trials finished; …"
    assert (
        " ".join(" ".join(said[1:-1]).split()) == "trial 7: its checkpoint in some far place is damaged; it starts over"
    )
    assert said[-1] == "[1/5] trial 0 complete 0.5, 1…"
