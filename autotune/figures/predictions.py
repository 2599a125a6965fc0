"""Predicted numbers against true numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from autotune.figures.style import FAINT, FIRST, figure_of, new_axes, styled


@styled
def draw_predictions(true: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> Figure:
    """Draw a point for each row; points on the line are exact predictions.

    Args:
        true: The true numbers, shape (n,).
        predicted: The predicted numbers, shape (n,).
    """
    (axes,) = new_axes(4.2, 4.0)
    ends = [float(np.nanmin([true, predicted])), float(np.nanmax([true, predicted]))]
    axes.plot(ends, ends, color=FAINT, linewidth=1)
    axes.scatter(true, predicted, s=9, color=FIRST, alpha=0.5, linewidths=0)
    axes.set_aspect("equal")
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    return figure_of(axes)
