"""A confusion matrix: blue for correct predictions, orange for mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from autotune.figures.style import FAINT, FIRST, INK, SECOND, as_label, figure_of, new_axes, styled

_MOST_WITH_NUMBERS = 32  # classes; with more, the counts would hide the colours
_MOST_NAMES = 100  # classes; of more, each second or third is named
_LONGEST_NAME = 16


@styled
def draw_confusion(matrix: npt.NDArray[Any], class_names: Sequence[str], counted: str = "rows") -> Figure:
    """Draw how often each true class is predicted as each class.

    Colours show shares of the true class, so that rare classes count as much as frequent ones. The colours of mistakes
    are scaled up, so that a few mistakes are visible. All colours are pale, so that text is legible on them.

    Args:
        matrix: Counts, shape (n_classes, n_classes): a row for each true class, a column for each predicted class.
        class_names: The names of the classes.
        counted: What is counted, e.g. "pixels" or "steps".
    """
    n = len(matrix)
    side = float(np.clip(1.6 + 0.36 * n, 3.2, 9.5))
    (axes,) = new_axes(side + 0.3, side)
    size = float(np.clip(11 - 0.15 * n, 6, 9))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.pcolormesh(np.arange(n + 1), np.arange(n + 1), _colours(share), linewidth=0, rasterized=n > _MOST_WITH_NUMBERS)
    _write_counts(axes, matrix, size)
    names = [as_label(name, _LONGEST_NAME) for name in class_names]
    is_long = max(map(len, names)) > 3
    named = slice(None, None, -(-n // _MOST_NAMES))
    places = np.arange(n)[named] + 0.5
    axes.set_xticks(places, names[named], rotation=45 if is_long else 0, ha="right" if is_long else "center")
    axes.set_yticks(places, names[named])
    axes.tick_params(length=0, labelsize=size)
    axes.grid(visible=False)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    right, total = int(np.trace(matrix)), int(matrix.sum())
    axes.set_title(f"{right:,} of {total:,} {counted} right ({right / max(total, 1):.1%})")
    return figure_of(axes)


def _colours(share: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the colour of each cell, shape (n, n, 4)."""
    is_right = np.eye(len(share), dtype=bool)
    worst = max(float(share[~is_right].max(initial=0.0)), 1e-9)
    colours = np.empty((*share.shape, 4))
    colours[..., :3] = np.where(is_right[..., np.newaxis], to_rgb(FIRST), to_rgb(SECOND))
    colours[..., 3] = np.where(is_right, 0.45 * share, 0.75 * np.sqrt(share / worst))
    return colours


def _write_counts(axes: Axes, matrix: npt.NDArray[Any], size: float) -> None:
    if len(matrix) > _MOST_WITH_NUMBERS:
        return
    for true, predicted in np.argwhere(matrix):
        is_mistake = true != predicted
        axes.text(
            predicted + 0.5,
            true + 0.5,
            f"{matrix[true, predicted]}",
            ha="center",
            va="center",
            fontsize=size,
            color=INK,
            fontweight="bold" if is_mistake else "normal",
            in_layout=False,  # the text is inside the axes, so the layout need not measure it
        )
    n = len(matrix)
    for draw in (axes.hlines, axes.vlines):
        draw(np.arange(n + 1), 0, n, color=FAINT, linewidth=0.3, alpha=0.5)
