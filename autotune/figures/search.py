"""Figures of a whole search: values over time, learning curves, time spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autotune.figures.style import COLOURS, FAINT, FIRST, INK, SECOND, as_label, figure_of, new_axes, styled

_MANY = 400  # more points are drawn as one bitmap


@dataclass(frozen=True)
class Finished:
    """A finished trial in a figure.

    Attributes:
        number: Its number.
        value: Its value; the last report if it was pruned.
        epochs: The epochs, or reports, that the search had spent when the trial ended.
        hours: The hours from the start of the first trial to the end of this one.
        is_pruned: Whether it was pruned.
    """

    number: int
    value: float
    epochs: int
    hours: float
    is_pruned: bool


@styled
def history(trials: Sequence[Finished], metric: str, maximize: bool, baseline: float | None, steps: str) -> Figure:
    """Draw values and the best so far against epochs spent and against time.

    Args:
        trials: Finished trials, in the order in which they ended.
        metric: The name of the metric.
        maximize: Whether a larger value is better.
        baseline: The baseline's value; None for none.
        steps: The unit on the horizontal axis: "epochs" or "reports"; "trials" if trials report nothing.
    """
    left, right = axes = new_axes(9.0, 3.4, columns=2)
    in_minutes = max((trial.hours for trial in trials), default=0.0) < 2
    _progress(left, [trial.epochs for trial in trials], trials, maximize)
    _progress(right, [trial.hours * (60 if in_minutes else 1) for trial in trials], trials, maximize)
    left.set_xlabel(f"{steps} spent")
    right.set_xlabel(f"{'minutes' if in_minutes else 'hours'} since the first trial began")
    left.set_ylabel(as_label(metric))
    for one in axes:
        if baseline is not None:
            one.axhline(baseline, color=INK, linestyle=":", linewidth=1.2, label="baseline")
        _cut_off_outliers(one, [trial.value for trial in trials], maximize)
    left.legend(loc="lower right" if maximize else "upper right")
    return figure_of(left)


def _progress(axes: Axes, at: Sequence[float], trials: Sequence[Finished], maximize: bool) -> None:
    x, values = np.asarray(at, dtype=float), np.array([trial.value for trial in trials])
    pruned = np.array([trial.is_pruned for trial in trials], dtype=bool)
    raster = len(trials) > _MANY
    size = max(2.0, min(16.0, 16.0 * _MANY / max(1, len(trials))))  # square points
    axes.scatter(x[pruned], values[pruned], s=size, marker="x", color=FAINT, label="pruned", rasterized=raster)
    axes.scatter(x[~pruned], values[~pruned], s=size, color=FIRST, label="complete", rasterized=raster)
    if not pruned.all():
        best = (np.maximum if maximize else np.minimum).accumulate(values[~pruned])
        axes.step(np.append(x[~pruned], x.max()), np.append(best, best[-1]), where="post", color=SECOND, label="best")


def _cut_off_outliers(axes: Axes, values: Sequence[float], maximize: bool) -> None:
    """Limit the axis so that very bad values are outside, if the good values would look like a line otherwise."""
    finite = np.array([value for value in values if np.isfinite(value)])
    if len(finite) < 8:
        return
    worst, middle, best = np.percentile(finite, (5, 50, 100) if maximize else (95, 50, 0))
    if abs(best - worst) < 4 * abs(best - middle) or best == middle:
        return
    reach = 4 * abs(best - middle)
    sign = 1 if maximize else -1
    axes.set_ylim(*sorted((best - sign * reach, best + sign * 0.1 * reach)))
    hidden = int(np.sum(sign * finite < sign * (best - sign * reach)))
    if hidden:
        edge = 0.02 if maximize else 0.95
        axes.text(0.02, edge, f"{hidden} worse ones outside", transform=axes.transAxes, color=INK, fontsize=8)


@styled
def all_curves(
    curves: Mapping[int, Mapping[int, float]],
    best: Sequence[int],
    pruned: Sequence[int],
    baseline: Mapping[int, float] | None,
    metric: str,
    maximize: bool,
) -> Figure:
    """Draw the reports of trials over epochs: the best in colour, the rest faint, the pruned ones to where they end.

    Args:
        curves: For each trial its values by epoch.
        best: The trials in colour, the best first.
        pruned: The pruned trials; their curves end in a cross.
        baseline: The baseline's values by epoch; None for none.
        metric: The name of the metric.
        maximize: Whether a larger value is better.
    """
    (axes,) = new_axes(7.6, 3.8)
    _draw_others({number: curve for number, curve in curves.items() if number not in best and curve}, pruned, axes)
    for number, colour in zip(best, COLOURS, strict=False):
        axes.plot(list(curves[number]), list(curves[number].values()), color=colour, label=f"trial {number}")
    if baseline:
        axes.plot(list(baseline), list(baseline.values()), color=INK, linestyle=":", label="baseline")
    axes.set_xlabel("epoch")
    axes.set_ylabel(as_label(metric))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _cut_off_outliers(axes, [value for curve in curves.values() for value in curve.values()], maximize)
    axes.legend(loc="lower right" if maximize else "upper right")
    return figure_of(axes)


def _draw_others(curves: Mapping[int, Mapping[int, float]], pruned: Sequence[int], axes: Axes) -> None:
    """Draw curves faintly, as one collection: 10,000 single objects would take far longer."""
    raster = len(curves) > _MANY
    lines = [np.array(list(curve.items()), dtype=float) for curve in curves.values()]
    axes.add_collection(LineCollection(lines, colors=FAINT, alpha=0.5, linewidths=0.8, rasterized=raster))
    ends = [(max(curves[number]), curves[number][max(curves[number])]) for number in pruned if number in curves]
    if ends:
        axes.plot(*zip(*ends, strict=True), "x", color=FAINT, markersize=4, rasterized=raster)
    axes.autoscale_view()


@styled
def time_spent(hours: Mapping[str, float]) -> Figure:
    """Draw how the hours of all slots were spent, as one bar in parts."""
    (axes,) = new_axes(7.6, 1.5)
    in_minutes = sum(hours.values()) < 2
    start = 0.0
    for (name, spent), colour in zip(hours.items(), COLOURS, strict=False):
        shown = spent * (60 if in_minutes else 1)
        axes.barh([0], [shown], left=start, color=colour, label=f"{name}: {shown:.1f}")
        start += shown
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"{'minutes' if in_minutes else 'hours'} of all slots together")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    return figure_of(axes)
