"""Learning curves: the monitored metric and the loss over the epochs, on training and validation rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autotune.figures.style import FAINT, FIRST, INK, SECOND, as_label, figure_of, new_axes, styled

_VALIDATION = "val_"
_WIDTH_IN, _HEIGHT_IN = 4.4, 3.2  # of one panel
_LEFT, _BOTTOM = 0.14, 0.15  # margins of a panel for the numbers on its axes, as shares of its width and height


@styled
def learning_curve(folds: Sequence[Mapping[str, Sequence[float]]], monitor: str, best_epochs: Sequence[int]) -> Figure:
    """Draw the learning curves of a trial: a panel for the monitored metric, and one for the loss if it is another.

    Args:
        folds: For each fold all metrics, by Keras's name, a value for each epoch; at least one fold.
        monitor: The monitored metric, by Keras's name.
        best_epochs: For each fold the epoch that counts, from 1; it is marked.
    """
    metric = monitor.removeprefix(_VALIDATION)
    names = [metric] + ["loss"] * (metric != "loss" and "loss" in folds[0])
    panels = new_axes(_WIDTH_IN * len(names), _HEIGHT_IN, columns=len(names))
    figure = figure_of(panels[0])
    figure.set_layout_engine("none")  # fixed margins take half the time of measured ones
    for number, (axes, name) in enumerate(zip(panels, names, strict=True)):
        _draw_panel(axes, folds, name, best_epochs)
        axes.set_position(((number + _LEFT) / len(names), _BOTTOM, (0.98 - _LEFT) / len(names), 0.9 - _BOTTOM))
    _mark_best(panels[0], folds, monitor, best_epochs)
    if panels[0].get_legend_handles_labels()[0]:
        panels[0].legend(loc="best")
    return figure


def _draw_panel(
    axes: Axes, folds: Sequence[Mapping[str, Sequence[float]]], name: str, best_epochs: Sequence[int]
) -> None:
    axes.set_title(as_label(name))
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    last = max(len(fold.get(name, ())) for fold in folds)
    axes.set_xlim(1 - 0.03 * last, 1.03 * last)
    alpha, width = (0.7, 1.1) if len(folds) > 1 else (1.0, 1.6)
    for number, fold in enumerate(folds):
        axes.axvline(best_epochs[number], color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
        for key, label, colour in ((name, "training", FIRST), (_VALIDATION + name, "validation", SECOND)):
            values = fold.get(key, ())
            if not values:
                continue
            marker = "o" if sum(map(math.isfinite, values)) == 1 else ""  # a single point makes no line
            shown = label if number == 0 else None
            epochs = range(1, len(values) + 1)
            axes.plot(epochs, values, color=colour, marker=marker, label=shown, alpha=alpha, linewidth=width)


def _mark_best(
    axes: Axes, folds: Sequence[Mapping[str, Sequence[float]]], monitor: str, best_epochs: Sequence[int]
) -> None:
    for number, (fold, epoch) in enumerate(zip(folds, best_epochs, strict=True)):
        values = fold.get(monitor, ())
        if 1 <= epoch <= len(values):
            value = values[epoch - 1]
            label = f"epoch {epoch}: {value:.4g}" if len(folds) == 1 else "best epochs" if number == 0 else None
            axes.plot([epoch], [value], "o", markersize=6, markerfacecolor="none", color=INK, label=label)
