"""Rows of a table with their attributions: a bar for each feature, labelled with its name and value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autotune.figures.attributions import AGAINST, FOR, legend_of
from autotune.figures.style import INK, as_label, figure_of, new_axes, styled

_PANEL_IN, _BAR_IN = 3.4, 0.19
_LONGEST = 28  # characters of a feature's name and value


@dataclass(frozen=True)
class Bars:
    """The attributions of the features of one row for one class.

    Attributes:
        title: The title, with the row and the class.
        bars: For each feature its label (name and value) and its attribution; the first is drawn on top.
    """

    title: str
    bars: Sequence[tuple[str, float]]


@styled
def draw_features(
    panels: Sequence[Bars], columns: int, meanings: tuple[str, str] = ("speaks for the class", "speaks against it")
) -> Figure:
    """Draw rows of a table, a panel for each; each panel has its own scale.

    Args:
        panels: At least one, row by row.
        columns: Number of panels in each row of the figure.
        meanings: What the two colours mean.
    """
    lines = -(-len(panels) // columns)
    n_bars = max(len(panel.bars) for panel in panels)
    axes = new_axes(columns * _PANEL_IN, lines * (n_bars * _BAR_IN + 0.45) + 0.3, columns, lines)
    for empty in axes[len(panels) :]:
        empty.set_axis_off()
    for one, panel in zip(axes, panels, strict=False):
        _draw(one, panel)
    figure = figure_of(axes[0])
    figure.legend(handles=legend_of(meanings), loc="outside lower center", ncols=2)
    return figure


def _draw(axes: Axes, panel: Bars) -> None:
    values = [value for _, value in panel.bars]
    places = range(len(values))
    axes.barh(places, values, color=[FOR if value > 0 else AGAINST for value in values], height=0.7)
    axes.axvline(0, color=INK, linewidth=0.6)
    axes.set_yticks(places, [as_label(name, _LONGEST) for name, _ in panel.bars])
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_title(as_label(panel.title, 60), fontsize=8, loc="left")
    axes.tick_params(labelsize=7, length=2)
    axes.grid(visible=False, axis="y")
