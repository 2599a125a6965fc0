"""The lines of the live table, which fit the size of the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from autotune.escaping import one_line
from autotune.progress.tally import RunningTrial, Tally
from autotune.progress.words import duration, epoch_of, headline_parts, step_seconds

_WIDE, _NARROW = 2, 1  # spaces between columns


@dataclass(frozen=True)
class _Column:
    """A column of the table of running trials.

    Attributes:
        header: Its heading.
        cells: Its cells, from the top.
        rank: The order of removal if columns do not fit: the highest rank is removed first.
    """

    header: str
    cells: Sequence[str]
    rank: int

    @property
    def width(self) -> int:
        return max(map(cell_len, [self.header, *self.cells]))


def view_lines(tally: Tally, width: int, height: int) -> list[Text]:
    """Return the lines for a terminal; their width and number fit the terminal.

    Args:
        tally: The run.
        width: Of the terminal, in characters.
        height: Of the terminal, in lines.
    """
    if tally.run is None:
        loading = f"Loading study and libraries: {tally.elapsed_s():.0f} s"
        return [_cut(loading, width)]
    head = filled(headline_parts(tally, width), width)
    lines = [_cut(line, width, "bold") for line in head]
    trials = [trial for _, trial in sorted(tally.running.items())]
    room = height - len(lines) - 2  # a line for the header, and one for the cursor
    if not trials or room < 1:
        return lines[: max(1, height - 1)]
    shown = trials if len(trials) <= room else trials[: room - 1]
    more = [f"and {len(trials) - len(shown)} more running"] if len(shown) < len(trials) else []
    return [*lines, *(_cut(line, width) for line in [*table(shown, tally, width), *more])]


def filled(parts: Sequence[str], width: int) -> list[str]:
    """Put parts into as few lines as they need, in their order, without breaking one."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}, {part}" if lines else part
        if lines and cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def table(trials: Sequence[RunningTrial], tally: Tally, width: int) -> list[str]:
    """Return a header and a line for each trial; columns that do not fit are left out."""
    columns = _columns(trials, tally, one_line((tally.run.monitor if tally.run else None) or "value"))
    if _width(columns, _WIDE) <= width:
        return _rows(columns, _WIDE)
    columns = _columns(trials, tally, "value")  # the lines above have its name
    while len(columns) > 1 and _width(columns, _NARROW) > width:
        columns.remove(max(columns, key=lambda column: column.rank))
    return _rows(columns, _WIDE if _width(columns, _WIDE) <= width else _NARROW)


def _columns(trials: Sequence[RunningTrial], tally: Tally, value: str) -> list[_Column]:
    now = tally.clock()
    unit = "epoch" if tally.run and tally.run.epochs else "step"
    return [
        _Column("slot", [str(trial.slot) for trial in trials], 5),
        _Column("trial", [str(trial.number) for trial in trials], 0),
        _Column(unit, [epoch_of(trial, tally) for trial in trials], 1),
        _Column(value, [_number(trial.value) for trial in trials], 2),
        _Column("best", [_number(trial.best) for trial in trials], 4),
        _Column(f"s/{unit}", [step_seconds(trial.step_s) if trial.step_s else "" for trial in trials], 3),
        _Column("time", [duration(now - trial.began) for trial in trials], 6),
    ]


def _width(columns: Sequence[_Column], gap: int) -> int:
    return sum(column.width for column in columns) + gap * (len(columns) - 1)


def _rows(columns: Sequence[_Column], gap: int) -> list[str]:
    padded = [[f"{cell:>{column.width}}" for cell in [column.header, *column.cells]] for column in columns]
    return [(" " * gap).join(cells).rstrip() for cells in zip(*padded, strict=True)]


def _number(value: float | None) -> str:
    return f"{value:.6g}" if value is not None else ""


def _cut(line: str, width: int, style: str = "") -> Text:
    text = Text(one_line(line), style=style, no_wrap=True)
    text.truncate(width, overflow="ellipsis")
    return text
