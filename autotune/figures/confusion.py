"""Confusion matrices: how often each class is taken for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from autotune.figures.style import FIRST, INK, new_axes, styled

_MOST_NUMBERS = 20  # classes; with more of them the numbers would lie on each other


@styled
def confusion_matrix_figure(counts: npt.NDArray[np.int64], labels: Sequence[str]) -> Figure:
    """Draw a confusion matrix; a cell is the darker the larger its part of the true class.

    Args:
        counts: Shape (k, k): a row for each true class, a column for each predicted one.
        labels: The classes' names, k of them.
    """
    from matplotlib.colors import LinearSegmentedColormap

    k = len(labels)
    side_in = min(max(3.2, 0.42 * k + 1.2), 9.0)
    axes = new_axes(side_in, side_in)[0]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap=LinearSegmentedColormap.from_list("shares", ["#ffffff00", FIRST]), vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.set(xlabel="predicted", ylabel="true")
    if k <= _MOST_NUMBERS:
        axes.set_xticks(range(k), labels)
        axes.set_yticks(range(k), labels)
        for true, predicted in np.argwhere(counts > 0):
            axes.text(predicted, true, str(counts[true, predicted]), ha="center", va="center", color=INK)
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure
