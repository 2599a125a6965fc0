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

from autotune.figures.style import FIRST, SECOND, as_label, figure_of, new_axes, styled

FOR, AGAINST = SECOND, FIRST
_PANEL_IN = 1.05  # inches: side of the panel of a square row
_WIDTH_IN = 7.0  # inches: all columns together; a page shrinks wider figures until they cannot be read
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
    """Tell whether a row can be drawn as an image; rows of a table cannot."""
    return row.dtype.kind in "fiub" and row.ndim > 1 and 1 <= np.squeeze(row).ndim <= 3 and row.size > 1


@styled
def draw_attributions(overlays: Sequence[Overlay], axes_names: tuple[str, str] | None = None) -> Figure:
    """Draw rows, each with its attributions to the right; each row has its own colour scale.

    Args:
        overlays: At least one.
        axes_names: The names of the axes of spectrograms, time first; time is drawn from left to right. None for
            images.
    """
    panels = 1 + max(len(one.layers) for one in overlays)
    height, width = _as_picture(overlays[0].row, axes_names).shape[:2]
    panel_in = _PANEL_IN * float(np.clip(width / height, 0.6, 2.2))
    columns = min(len(overlays), max(1, int(_WIDTH_IN / (panels * panel_in))))
    lines = -(-len(overlays) // columns)
    size = columns * panels * panel_in + 0.3, lines * (_PANEL_IN + 0.42) + 0.4
    axes = new_axes(*size, columns * panels, lines)
    for empty in axes:
        empty.set_axis_off()
    for number, overlay in enumerate(overlays):
        _draw(axes[number * panels : (number + 1) * panels], overlay, axes_names)
    figure = figure_of(axes[0])
    handles = [Patch(color=FOR, label="speaks for the class"), Patch(color=AGAINST, label="speaks against it")]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _draw(axes: Sequence[Axes], overlay: Overlay, axes_names: tuple[str, str] | None) -> None:
    picture = _scaled(_as_picture(overlay.row, axes_names))
    layers = [(title, _summed(_as_picture(values, axes_names))) for title, values in overlay.layers]
    full = _full_colour(values for _, values in layers)
    _show(axes[0], picture, overlay.title, axes_names)
    for panel, (title, values) in zip(axes[1:], layers, strict=False):
        _show(panel, _coloured(picture, values / full), title, axes_names)
    if axes_names is not None:
        axes[0].set_xlabel(as_label(axes_names[0]), fontsize=6)
        axes[0].set_ylabel(as_label(axes_names[1]), fontsize=6)


def _show(axes: Axes, picture: _Values, title: str, axes_names: tuple[str, str] | None) -> None:
    axes.set_axis_on()
    axes.grid(visible=False)
    origin: Any = "upper" if axes_names is None else "lower"
    axes.imshow(picture, origin=origin, interpolation="nearest", aspect="auto" if axes_names else "equal")
    axes.set_title(as_label(title), fontsize=7, loc="left")
    axes.tick_params(labelsize=5, length=2)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if axes_names is None:
        axes.set_xticks([])
        axes.set_yticks([])


def _as_picture(row: _Values, axes_names: tuple[str, str] | None) -> _Values:
    """Return a row as (height, width, channels)."""
    values = np.asarray(row, dtype=np.float64)
    if values.squeeze().ndim == 1:
        return values.reshape(1, -1, 1)
    values = values[..., np.newaxis] if values.ndim == 2 else values
    return values if axes_names is None else values.swapaxes(0, 1)


def _scaled(picture: _Values) -> _Values:
    """Scale an image to [0, 1], shape (height, width, 3): in colour if it has three channels, else their mean."""
    if picture.shape[-1] != 3:
        picture = np.repeat(picture.mean(axis=-1, keepdims=True), 3, axis=-1)
    low, high = float(picture.min()), float(picture.max())
    scaled: _Values = (picture - low) / max(high - low, 1e-12)
    return scaled


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
