"""Images and masks beside each other: what a model is given, what should come out, and what does."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from autotune.figures.style import COLOURS, as_label, figure_of, new_axes, styled

_PANEL_IN = 1.05  # inches: side of the panel of a square row
_WIDTH_IN = 7.0  # inches: all columns together; a page shrinks wider figures until they cannot be read
_TITLE = 20  # characters in a line above a square panel
_BACKGROUND = (0.88, 0.88, 0.9)  # of class 0 in masks
_IGNORED = (0.45, 0.45, 0.47)  # of places that are not compared

_Values: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Beside:
    """One row as pictures that stand beside each other.

    Attributes:
        title: The title of the row.
        image: The image that the model is given, shape (h, w) or (h, w, channels); None if it is given none.
        true: What should come out: a mask of classes, shape (h, w), integers, below 0 where it is ignored; or numbers,
            (h, w) or (h, w, channels).
        predicted: What comes out, likewise.
    """

    title: str
    image: _Values | None
    true: _Values
    predicted: _Values


@styled
def draw_beside(rows: Sequence[Beside], class_names: Sequence[str] = ()) -> Figure:
    """Draw for each row its image, what should come out and what comes out.

    Args:
        rows: At least one.
        class_names: The names of the classes of masks, each with its colour; none for numbers, which are drawn in grey
            or, with three channels, in colour.
    """
    panels = [one for one in (rows[0].image, rows[0].true, rows[0].predicted) if one is not None]
    groups = panel_groups(len(rows), len(panels), rows[0].true)
    for axes, row in zip(groups, rows, strict=True):
        limits = float(row.true.min()), float(row.true.max())
        drawn = [scaled(as_picture(row.image))] if row.image is not None else []
        drawn += [
            _in_colours(one) if class_names else scaled(as_picture(one), limits) for one in (row.true, row.predicted)
        ]
        titles = [row.title, "true", "predicted"] if row.image is not None else [f"{row.title}: true", "predicted"]
        for panel, picture, title in zip(axes, drawn, titles, strict=True):
            show_picture(panel, picture, title)
    figure = figure_of(groups[0][0])
    handles = [
        Patch(color=_colour(label), label=as_label(class_names[label], 16) if label >= 0 else "ignored")
        for label in (_labels(rows) if class_names else [])
    ]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)))
    return figure


def panel_groups(n: int, panels: int, row: _Values, axes_names: tuple[str, str] | None = None) -> list[list[Axes]]:
    """Return the axes of a new figure for n rows, as many in a line as fit: for each row its panels from left to right.

    Args:
        n: Number of rows.
        panels: Number of panels of each row.
        row: One of the rows, for the panels' shape.
        axes_names: As in `as_picture`.
    """
    height, width = as_picture(row, axes_names).shape[:2]
    panel_in = _PANEL_IN * float(np.clip(width / height, 0.6, 2.2))
    columns = min(n, max(1, int(_WIDTH_IN / (panels * panel_in))))
    lines = -(-n // columns)
    axes = new_axes(columns * panels * panel_in + 0.3, lines * (_PANEL_IN + 0.42) + 0.4, columns * panels, lines)
    for empty in axes:
        empty.set_axis_off()
    return [axes[number * panels : (number + 1) * panels] for number in range(n)]


def show_picture(axes: Axes, picture: _Values, title: str, axes_names: tuple[str, str] | None = None) -> None:
    """Show a picture, shape (h, w, 3), from 0 to 1; spectrograms have time to the right and pitch upwards."""
    axes.set_axis_on()
    axes.grid(visible=False)
    origin: Any = "upper" if axes_names is None else "lower"
    axes.imshow(picture, origin=origin, interpolation="nearest", aspect="auto" if axes_names else "equal")
    width = int(_TITLE * float(np.clip(picture.shape[1] / picture.shape[0], 0.6, 2.2)))
    axes.set_title("\n".join(textwrap.wrap(as_label(title, 2 * width), width)), fontsize=7, loc="left")
    axes.tick_params(labelsize=5, length=2)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if axes_names is None:
        axes.set_xticks([])
        axes.set_yticks([])


def as_picture(row: _Values, axes_names: tuple[str, str] | None = None) -> _Values:
    """Return a row as (height, width, channels); with names of its axes its first one, time, becomes the width."""
    values = np.asarray(row, dtype=np.float64)
    if values.squeeze().ndim <= 1:
        return values.reshape(1, -1, 1)
    values = values[..., np.newaxis] if values.ndim == 2 else values
    return values if axes_names is None else values.swapaxes(0, 1)


def scaled(picture: _Values, limits: tuple[float, float] | None = None) -> _Values:
    """Scale an image to [0, 1], shape (height, width, 3): in colour if it has three channels, else their mean.

    Args:
        picture: Shape (height, width, channels).
        limits: The values of black and white; None for the smallest and the largest.
    """
    if picture.shape[-1] != 3:
        picture = np.repeat(picture.mean(axis=-1, keepdims=True), 3, axis=-1)
    low, high = limits or (float(picture.min()), float(picture.max()))
    return np.clip((picture - low) / max(high - low, 1e-12), 0.0, 1.0)


def _in_colours(mask: _Values) -> _Values:
    """Return a mask of classes as (height, width, 3)."""
    labels = np.atleast_2d(np.squeeze(mask)).astype(np.int64)
    palette = np.array([_colour(label) for label in range(-1, int(labels.max(initial=0)) + 1)])
    coloured: _Values = palette[1 + np.maximum(labels, -1)]
    return coloured


def _labels(rows: Sequence[Beside]) -> list[int]:
    labels = {int(label) for row in rows for mask in (row.true, row.predicted) for label in np.unique(mask)}
    return sorted(labels, key=lambda label: (label < 0, label))


def _colour(label: int) -> tuple[float, float, float]:
    if label < 0:
        return _IGNORED
    return _BACKGROUND if label == 0 else to_rgb(COLOURS[(label - 1) % len(COLOURS)])
