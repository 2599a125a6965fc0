"""The lines of a terminal: whole numbers at every width, and no more lines than there is room for."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from autotune.progress.tally import Tally
from autotune.progress.view import filled, view_lines
from autotune.progress.words import duration, step_seconds
from autotune.running.tracking.events import Event, FoldFinished, RunStarted, StepReported, TrialEnded, TrialStarted

_NUMBER = r"[^\s,()]*\d[^\s,()]*"


@pytest.fixture
def tally(clock: Any, events: list[Event]) -> Tally:
    """The run of `events`, fifty seconds after its first report of trial 5."""
    tally = Tally(clock)
    for event in events[:-1]:
        tally.note(event)
    clock.now += 50.0
    tally.note(events[-1])
    return tally


def shown(tally: Tally, width: int, height: int = 24) -> list[str]:
    return [line.plain for line in view_lines(tally, width, height)]


def test_a_wide_terminal_shows_everything(tally: Tally) -> None:
    first, header, slot, other = shown(tally, 200)
    assert first == (
        "digits-cnn: 3/10 finished, best val_accuracy 0.75 (trial 2), 1 failed (nan), running for 50 s, about 28 s left"
    )
    assert header.split() == ["slot", "trial", "epoch", "val_accuracy", "best", "s/epoch", "time"]
    assert slot.split() == ["0", "4", "0/20", "50", "s"]
    assert other.split() == ["1", "5", "7/20", "0.625", "0.75", "50.0", "50", "s"]


def test_a_terminal_of_40_columns_breaks_no_line_and_cuts_no_number(tally: Tally) -> None:
    tally.note(StepReported(slot=1, number=5, step=8, value=0.123456789))
    assert max(map(len, shown(tally, 40))) <= 40
    lines = shown(tally, 40)
    assert lines[:4] == [
        "digits-cnn: 3/10 finished",
        "best val_accuracy 0.75 (trial 2)",
        "1 failed (nan), running for 50 s",
        "about 28 s left",
    ]
    header, _, trial = lines[4:]
    assert header.split() == ["slot", "trial", "epoch", "value", "best", "s/epoch"]
    assert trial.split() == ["1", "5", "8/20", "0.123457", "0.75", "25.0"]


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (60, "slot trial epoch val_accuracy best s/epoch time"),
        (45, "slot trial epoch value best s/epoch time"),
        (38, "slot trial epoch value best s/epoch"),
        (32, "trial epoch value best s/epoch"),
        (25, "trial epoch value s/epoch"),
        (18, "trial epoch value"),
        (12, "trial epoch"),
        (6, "trial"),
    ],
)
def test_the_least_important_columns_go_first(tally: Tally, width: int, columns: str) -> None:
    header = next(
        line for line in shown(tally, width) if "trial" in line and "finished" not in line and ")" not in line
    )
    assert header.split() == columns.split()


def test_no_line_is_wider_than_the_terminal(tally: Tally) -> None:
    for width in range(6, 130):
        assert max(map(len, shown(tally, width))) <= width


def test_a_number_is_shown_whole_or_not_at_all(tally: Tally) -> None:
    tally.note(StepReported(slot=1, number=5, step=8, value=-1.23456789e-12))
    whole = re.findall(_NUMBER, " ".join(shown(tally, 200)))
    assert "-1.23457e-12" in whole
    for width in range(30, 200):
        assert set(re.findall(_NUMBER, " ".join(shown(tally, width)))) <= set(whole)


@pytest.mark.parametrize("height", [2, 3, 5, 8])
def test_a_low_terminal_says_how_many_trials_it_does_not_show(clock: Any, height: int) -> None:
    tally = Tally(clock)
    tally.note(RunStarted("toy", 100, 0, slots=64, epochs=None, direction="minimize"))
    for slot in range(64):
        tally.note(TrialStarted(slot, slot))
    lines = shown(tally, 80, height)
    assert len(lines) <= height - 1
    if height > 3:
        assert lines[-1] == f"and {64 - (len(lines) - 3)} more running"


def test_a_name_that_is_too_long_is_cut_and_its_numbers_are_not(clock: Any) -> None:
    tally = Tally(clock)
    tally.note(RunStarted("a" * 60, 10, 3, 2, 20, "maximize", monitor="b" * 60, best=(12, 0.987654)))
    first, second, *_ = shown(tally, 40)
    assert first == f"{'a' * 24}…: 3/10 finished"
    assert second == f"best {'b' * 14}… 0.987654 (trial 12)"


def test_folds_are_counted_once_the_first_is_finished(clock: Any) -> None:
    tally = Tally(clock)
    tally.note(RunStarted("net", 10, 0, 1, 3, "maximize", monitor="val_loss", folds=5))
    tally.note(TrialStarted(0, 0))
    tally.note(StepReported(0, 0, 3, 0.5))
    assert " 3/3 " in shown(tally, 80)[-1]
    tally.note(FoldFinished(0, 0, 1))
    assert "fold 2/5" in shown(tally, 80)[-1]
    tally.note(FoldFinished(0, 0, 5))  # its end has not been told yet
    assert "fold 5/5" in shown(tally, 80)[-1]


def test_a_plain_objective_has_steps_and_a_value(clock: Any) -> None:
    tally = Tally(clock)
    tally.note(RunStarted("toy", 10, 0, 1, None, "minimize", waiting=(7,)))
    tally.note(TrialStarted(0, 0))
    tally.note(StepReported(0, 0, 3, math.nan))
    first, header, trial = shown(tally, 80)
    assert first == "toy: 0/10 finished, no best value yet, 1 waiting, running for 0 s"
    assert header.split() == ["slot", "trial", "step", "value", "best", "s/step", "time"]
    assert trial.split() == ["0", "0", "3", "nan", "0", "s"]


def test_who_watches_is_told_since_when(clock: Any) -> None:
    tally = Tally(clock)
    tally.note(RunStarted("toy", 10, 0, 1, None, "minimize", is_elsewhere=True))
    clock.now += 3.0
    tally.note(TrialStarted(0, 0, since_s=7200.0))
    assert "watched for 3 s" in shown(tally, 80)[0]
    assert shown(tally, 80)[-1].endswith(" 2 h 0 min")


def test_a_trial_of_which_nobody_knows_the_reason_is_counted_all_the_same(clock: Any) -> None:
    tally = Tally(clock)
    tally.note(RunStarted("toy", 10, 0, 1, None, "minimize"))
    for number, reason in enumerate(["oom", "nan", "oom"]):
        tally.note(TrialEnded(0, number, "failed", None, reason, {}, 0, 1.0))
    assert "2 failed (oom), 1 failed (nan)" in shown(tally, 80)[0]


def test_before_the_study_is_loaded_a_terminal_says_what_is_going_on(clock: Any) -> None:
    tally = Tally(clock)
    clock.now += 12.0
    assert shown(tally, 40) == ["Loading study and libraries: 12 s"]


def test_parts_fill_lines_without_being_broken() -> None:
    assert filled(["abc", "de", "f", "ghijklm"], 8) == ["abc, de", "f", "ghijklm"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (182.0, "3 min 2 s"), (7390.0, "2 h 3 min")]
)
def test_durations_are_said_as_people_do(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("seconds", "words"), [(0.001, "<0.01"), (0.314, "0.31"), (12.34, "12.3"), (134.4, "134")])
def test_the_seconds_of_a_step_are_short(seconds: float, words: str) -> None:
    assert step_seconds(seconds) == words
