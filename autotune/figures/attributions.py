"""Images and spectrograms next to their attributions: orange speaks for a class, blue against it, grey for neither."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from autotune.figures.pictures import as_picture, panel_groups, scaled, show_picture
from autotune.figures.style import FIRST, SECOND, as_label, figure_of, styled

FOR, AGAINST = SECOND, FIRST
_SATURATION = 99.0  # this percentile of the attributions gets the full colour, so that one dot does not fade the rest
_GROUND = 0.68, 0.98  # greys of the row under the colours, for its smallest and its largest value

_Values: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Overlay:
    """One row and its attributions.

    Attributes:
        title: The title of the row.
        row: Shape (h, w), (h, w, channels), or (n, 1) for a row without a second axis.
        layers: For each attribution its title and its values, of the row's shape.
    """

    title: str
    row: _Values
    layers: Sequence[tuple[str, _Values]]


def can_draw(row: _Values) -> bool:
    """Tell whether a row can be drawn as an image; rows of a table, volumes and films cannot."""
    return row.dtype.kind in "fiub" and row.ndim in (2, 3) and row.size > 1


@styled
def draw_attributions(
    overlays: Sequence[Overlay],
    axes_names: tuple[str, str] | None = None,
    meanings: tuple[str, str] = ("speaks for the class", "speaks against it"),
) -> Figure:
    """Draw rows, each with its attributions to the right; each row has its own colour scale.

    Args:
        overlays: At least one.
        axes_names: The names of the axes of spectrograms, time first; time is drawn from left to right. None for
            images.
        meanings: What the two colours mean.
    """
    panels = 1 + max(len(one.layers) for one in overlays)
    groups = panel_groups(len(overlays), panels, overlays[0].row, axes_names)
    for axes, overlay in zip(groups, overlays, strict=True):
        _draw(axes, overlay, axes_names)
    figure = figure_of(groups[0][0])
    if panels > 1:
        figure.legend(handles=legend_of(meanings), loc="outside lower center", ncols=2)
    return figure


def legend_of(meanings: tuple[str, str]) -> list[Patch]:
    """Return the two colours with what they mean, for a legend."""
    return [Patch(color=colour, label=meaning) for colour, meaning in zip((FOR, AGAINST), meanings, strict=True)]


def _draw(axes: Sequence[Axes], overlay: Overlay, axes_names: tuple[str, str] | None) -> None:
    picture = scaled(as_picture(overlay.row, axes_names))
    layers = [(title, _summed(as_picture(values, axes_names))) for title, values in overlay.layers]
    full = _full_colour(values for _, values in layers)
    show_picture(axes[0], picture, overlay.title, axes_names)
    for panel, (title, values) in zip(axes[1:], layers, strict=False):
        show_picture(panel, _coloured(picture, values / full), title, axes_names)
    if axes_names is not None:
        axes[0].set_xlabel(as_label(axes_names[0]), fontsize=6)
        axes[0].set_ylabel(as_label(axes_names[1]), fontsize=6)


def _summed(values: _Values) -> _Values:
    summed: _Values = values.sum(axis=-1)
    return summed


def _full_colour(layers: Iterable[_Values]) -> float:
    sizes = np.concatenate([np.abs(values).ravel() for values in layers] or [np.zeros(1)])
    counting = sizes[sizes > 0]
    return float(np.percentile(counting, _SATURATION)) if counting.size else 1.0


def _coloured(picture: _Values, values: _Values) -> _Values:
    """Lay the colours of values, clipped to [-1, 1], over a pale grey version of the image."""
    low, high = _GROUND
    grey = low + (high - low) * picture.mean(axis=-1, keepdims=True)
    strength = np.clip(np.abs(values), 0, 1)[..., np.newaxis]
    colour = np.where(values[..., np.newaxis] > 0, to_rgb(FOR), to_rgb(AGAINST))
    coloured: _Values = (1 - strength) * grey + strength * colour
    return coloured
