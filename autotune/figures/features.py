"""Rows of a table beside what a model looks at in them: a bar for each feature, named with its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from autotune.figures.attributions import AGAINST, FOR
from autotune.figures.style import INK, as_label, figure_of, new_axes, styled

_PANEL_IN, _BAR_IN = 3.4, 0.19
_LONGEST = 28  # characters of a feature with its value


@dataclass(frozen=True)
class Bars:
    """What the features of one row contribute to one class.

    Attributes:
        title: Which row, and which class.
        bars: For each feature its name with its value, and what it contributes; the first is drawn on top.
    """

    title: str
    bars: Sequence[tuple[str, float]]


@styled
def draw_features(panels: Sequence[Bars], columns: int) -> Figure:
    """Draw rows of a table; the bars of each panel have a scale of their own.

    Args:
        panels: At least one, row by row.
        columns: Panels beside each other.
    """
    lines = -(-len(panels) // columns)
    n_bars = max(len(panel.bars) for panel in panels)
    axes = new_axes(columns * _PANEL_IN, lines * (n_bars * _BAR_IN + 0.45) + 0.3, columns, lines)
    for empty in axes[len(panels) :]:
        empty.set_axis_off()
    for one, panel in zip(axes, panels, strict=False):
        _draw(one, panel)
    figure = figure_of(axes[0])
    handles = [Patch(color=FOR, label="speaks for the class"), Patch(color=AGAINST, label="speaks against it")]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _draw(axes: Axes, panel: Bars) -> None:
    values = [value for _, value in panel.bars]
    places = range(len(values))
    axes.barh(places, values, color=[FOR if value > 0 else AGAINST for value in values], height=0.7)
    axes.axvline(0, color=INK, linewidth=0.6)
    axes.set_yticks(places, [as_label(name, _LONGEST) for name, _ in panel.bars])
    axes.invert_yaxis()
    axes.set_title(as_label(panel.title, 60), fontsize=8, loc="left")
    axes.tick_params(labelsize=7, length=2)
    axes.grid(visible=False, axis="y")
