"""Predicted numbers against true ones, labels found and missed, forecasts beside what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autotune.figures.style import COLOURS, FAINT, FIRST, INK, SECOND, as_label, figure_of, new_axes, styled

MOST_COLUMNS = 6
"""More panels than that are too small to be read."""

_MOST_NAMES = 100  # labels; of more, each second or third is named
_FALSE = COLOURS[4]


@styled
def draw_predictions(true: npt.NDArray[Any], predicted: npt.NDArray[Any], names: Sequence[str] = ("",)) -> Figure:
    """Draw a point for each row, in a panel for each column; points on the line are exact.

    Args:
        true: The true numbers, shape (n,) or (n, columns); at most `MOST_COLUMNS` columns can be read.
        predicted: The predicted numbers, with the same shape.
        names: The name of each column; that of a single one is not shown.
    """
    true, predicted = (one.reshape(len(one), -1) for one in (true, predicted))
    n = true.shape[1]
    columns, side = (1, 4.2) if n == 1 else (min(n, 3), 2.6)
    lines = -(-n // columns)
    panels = new_axes(side * columns, (side - 0.2) * lines, columns, lines)
    for empty in panels[n:]:
        empty.set_axis_off()
    for number, (axes, name) in enumerate(zip(panels, names, strict=False)):
        _draw_points(axes, true[:, number], predicted[:, number])
        if n > 1:
            axes.set_title(as_label(name, 24))
    return figure_of(panels[0])


def _draw_points(axes: Axes, true: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> None:
    ends = [float(np.nanmin([true, predicted])), float(np.nanmax([true, predicted]))]
    axes.plot(ends, ends, color=FAINT, linewidth=1)
    axes.scatter(true, predicted, s=9, color=FIRST, alpha=0.5, linewidths=0)
    axes.set_aspect("equal")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")


@dataclass(frozen=True, eq=False)
class Forecast:
    """A forecast beside what came.

    Attributes:
        title: The title of the row.
        past: The last steps that the model is given, shape (steps,); of length 0 if they are not known.
        true: What came, shape (horizon,).
        predicted: What was predicted, shape (horizon,).
    """

    title: str
    past: npt.NDArray[Any]
    true: npt.NDArray[Any]
    predicted: npt.NDArray[Any]


@styled
def draw_forecasts(rows: Sequence[Forecast], errors: npt.NDArray[Any]) -> Figure:
    """Draw forecasts, and the error of each step over all rows; two panels in a line.

    Args:
        rows: At least one.
        errors: The mean absolute error of each step, shape (horizon,).
    """
    lines = -(-(len(rows) + 1) // 2)
    panels = new_axes(7.4, 2.3 * lines + 0.3, 2, lines)
    for axes, row in zip(panels, rows, strict=False):
        _draw_forecast(axes, row)
    for empty in panels[len(rows) + 1 :]:
        empty.set_axis_off()
    axes = panels[len(rows)]
    steps = np.arange(1, len(errors) + 1)
    axes.plot(steps, errors, color=INK, marker="o" if len(errors) < 30 else "", markersize=3)
    axes.set_ylim(bottom=0)
    axes.set_title("all rows: mean absolute error of each step")
    axes.set_xlabel("step of the forecast")
    figure = figure_of(panels[0])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _draw_forecast(axes: Axes, row: Forecast) -> None:
    if len(row.past):
        axes.plot(np.arange(1 - len(row.past), 1), row.past, color=FAINT, label="given")
    marker = "o" if len(row.true) == 1 else ""
    for values, colour, name in ((row.true, FIRST, "true"), (row.predicted, SECOND, "predicted")):
        joined = np.concatenate([row.past[-1:], values])  # the line begins at the last step that is given
        axes.plot(
            np.arange(1 + len(values) - len(joined), 1 + len(values)), joined, color=colour, marker=marker, label=name
        )
    axes.set_title(as_label(row.title, 60))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


@styled
def draw_labels(names: Sequence[str], counts: npt.NDArray[Any]) -> Figure:
    """Draw for each label how many rows have it and are found, have it and are missed, and are said to have it wrongly.

    Args:
        names: The names of the labels, at least one.
        counts: Numbers of rows, shape (labels, 3): found, missed, false.
    """
    (axes,) = new_axes(6.0, float(np.clip(1.2 + 0.26 * len(names), 2.0, 12.0)))
    places, begin = np.arange(len(names)), np.zeros(len(names))
    for number, (kind, colour) in enumerate((("found", FIRST), ("missed", SECOND), ("false", _FALSE))):
        axes.barh(places, counts[:, number], left=begin, color=colour, height=0.7, label=kind)
        begin = begin + counts[:, number]
    named = slice(None, None, -(-len(names) // _MOST_NAMES))
    axes.set_yticks(places[named], [as_label(name, 20) for name in names[named]])
    axes.tick_params(axis="y", length=0, labelsize=float(np.clip(9 - 0.05 * len(names), 5, 9)))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("rows")
    figure = figure_of(axes)
    figure.legend(loc="outside lower center", ncols=3)
    return figure
