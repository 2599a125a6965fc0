"""Figures of hyperparameters: importance, effect, interaction, parallel coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from autotune.figures.style import FAINT, FIRST, INK, SECOND, as_label, figure_of, new_axes, styled

_BAD_TO_GOOD = LinearSegmentedColormap.from_list("bad to good", ["#c9ccd6", "#3b82f6", "#e5554f"])
_BINS = 5
_FEW = 8  # integers that are drawn one by one
_MANY = 400


@dataclass(frozen=True)
class Tried:
    """One hyperparameter and the values that the trials tried.

    Attributes:
        name: Its name.
        distribution: Its range.
        values: Its value in each trial; None for a trial without this hyperparameter.
    """

    name: str
    distribution: BaseDistribution
    values: Sequence[Any]

    @property
    def is_log(self) -> bool:
        """Whether the range is searched on a log scale."""
        return bool(getattr(self.distribution, "log", False)) and self.choices is None

    @property
    def choices(self) -> list[str] | None:
        """Its values as text in their order, if it is categorical or has few integers; None for any other range."""
        values = self._few_values
        return None if values is None else [as_label(str(value)) for value in values]

    def numbers(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the values as numbers, choices by their position; NaN for a trial without a value."""
        if self.choices is None:
            return np.array([np.nan if value is None else value for value in self.values], dtype=float)
        places = {str(value): place for place, value in enumerate(self._few_values or ())}
        return np.array([np.nan if value is None else places[str(value)] for value in self.values])

    @property
    def _few_values(self) -> list[Any] | None:
        if isinstance(self.distribution, CategoricalDistribution):
            choices = self.distribution.choices
            are_numbers = all(isinstance(choice, (int, float)) for choice in choices)
            return sorted(choices) if are_numbers else list(choices)
        if isinstance(self.distribution, IntDistribution):
            values = range(self.distribution.low, self.distribution.high + 1, self.distribution.step)
            return list(values) if len(values) <= _FEW else None
        return None


@styled
def importance_bars(names: Sequence[str], shares: Sequence[float], intervals: Sequence[tuple[float, float]]) -> Figure:
    """Draw the share of each hyperparameter with its 95 % interval; those whose interval reaches zero are faint."""
    (axes,) = new_axes(7.6, 0.8 + 0.32 * len(names))
    at = np.arange(len(names))[::-1]
    certain = [low > 0 for low, _ in intervals]
    axes.barh(at, shares, color=[FIRST if sure else FAINT for sure in certain], height=0.6)
    for y, share, (low, high) in zip(at, shares, intervals, strict=True):
        axes.plot([min(low, share), max(high, share)], [y, y], color=INK, linewidth=1.2)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlim(max(-1.0, axes.get_xlim()[0]), min(1.5, axes.get_xlim()[1]))  # few trials give very wide intervals
    axes.set_yticks(at, list(map(as_label, names)))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of the importance, with its 95 % interval")
    return figure_of(axes)


@styled
def effect(tried: Tried, results: Sequence[float], pruned: Sequence[bool], metric: str) -> Figure:
    """Draw the value of trials against one hyperparameter, with the median and the middle half in each part of it.

    Args:
        tried: The hyperparameter.
        results: The value of each trial; NaN for none.
        pruned: Whether each trial was pruned; a pruned trial is a tick below, as its value is of another epoch.
        metric: The name of the metric.
    """
    (axes,) = new_axes(4.4, 3.0)
    x, y, stopped = tried.numbers(), np.asarray(results, dtype=float), np.asarray(pruned, dtype=bool)
    shown = np.isfinite(x) & np.isfinite(y) & ~stopped
    jitter = np.random.default_rng(0).uniform(-0.15, 0.15, len(x)) if tried.choices else np.zeros(len(x))
    size = max(2.0, min(14.0, 14.0 * _MANY / max(1, len(x))))  # square points
    axes.scatter(x[shown] + jitter[shown], y[shown], s=size, color=FIRST, alpha=0.7, rasterized=len(x) > _MANY)
    _medians(axes, tried, x[shown], y[shown])
    if shown.any():
        low, high = np.percentile(y[shown], (10, 90))
        room = 0.6 * (high - low) or 0.05 * abs(high) or 1.0
        axes.set_ylim(max(y[shown].min() - room * 0.2, low - room), min(y[shown].max() + room * 0.2, high + room))
        ticks = (x + jitter)[np.isfinite(x) & stopped]
        below = axes.get_xaxis_transform()
        low = np.full(len(ticks), 0.02)
        is_crowd = len(x) > _MANY
        ink = _MANY / len(x) if is_crowd else 1.0
        axes.plot(ticks, low, "|", color=FAINT, alpha=ink, transform=below, markersize=6, rasterized=is_crowd)
    _scale(axes, tried)
    axes.set_ylabel(as_label(metric))
    return figure_of(axes)


def _medians(axes: Axes, tried: Tried, x: Any, y: Any) -> None:
    if len(x) < 2 * _BINS and tried.choices is None:
        return
    if tried.choices is not None:
        groups = [(place, place, y[x == place]) for place in range(len(tried.choices))]
    else:
        order = np.array_split(np.argsort(x, kind="stable"), _BINS)
        groups = [(x[part].min(), x[part].max(), y[part]) for part in order]
    for start, stop, values in groups:
        if len(values) < 2:
            continue
        left, right = (start - 0.25, stop + 0.25) if tried.choices is not None else (start, stop)
        low, middle, high = np.percentile(values, (25, 50, 75))
        axes.fill_between([left, right], low, high, color=SECOND, alpha=0.25, linewidth=0)
        axes.plot([left, right], [middle, middle], color=SECOND)


def _scale(axes: Axes, tried: Tried) -> None:
    axes.set_xlabel(as_label(tried.name) + (" (log scale)" if tried.is_log else ""))
    if tried.choices is not None:
        axes.set_xticks(range(len(tried.choices)), tried.choices)
        axes.set_xlim(-0.6, len(tried.choices) - 0.4)
    elif tried.is_log:
        axes.set_xscale("log")
        _plain_numbers(axes.xaxis, tried)


def _plain_numbers(axis: Axis, tried: Tried) -> None:
    """Write 1e-03 instead of a formula, and plain integers on a log scale of a narrow integer range."""
    axis.set_major_formatter(LogFormatter())
    axis.set_minor_formatter(LogFormatter())
    if isinstance(tried.distribution, IntDistribution):
        axis.set_major_formatter("{x:.0f}")
        if tried.distribution.high < 20 * tried.distribution.low:
            axis.set_minor_formatter("{x:.0f}")


@styled
def interaction(first: Tried, second: Tried, places: Sequence[float]) -> Figure:
    """Draw trials over two hyperparameters, coloured from the worst to the best.

    Args:
        first: The hyperparameter on the horizontal axis.
        second: The hyperparameter on the vertical axis.
        places: The rank of each trial, from 0 for the worst to 1 for the best.
    """
    (axes,) = new_axes(5.6, 3.8)
    rng = np.random.default_rng(0)
    x, y = (one.numbers() + (rng.uniform(-0.2, 0.2, len(places)) if one.choices else 0.0) for one in (first, second))
    drawn = np.argsort(places)  # the best on top
    points = axes.scatter(
        x[drawn],
        y[drawn],
        c=np.asarray(places)[drawn],
        cmap=_BAD_TO_GOOD,
        s=26,
        vmin=0,
        vmax=1,
        rasterized=len(x) > _MANY,
    )
    _scale(axes, first)
    axes.set_ylabel(as_label(second.name) + (" (log scale)" if second.is_log else ""))
    if second.choices is not None:
        axes.set_yticks(range(len(second.choices)), second.choices)
    elif second.is_log:
        axes.set_yscale("log")
        _plain_numbers(axes.yaxis, second)
    bar = figure_of(axes).colorbar(points, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["worst trial", "median", "best trial"])
    return figure_of(axes)


@styled
def parallel_coordinates(tried: Sequence[Tried], places: Sequence[float]) -> Figure:
    """Draw a line for each trial through all of its hyperparameters, coloured from the worst to the best.

    Args:
        tried: The hyperparameters, from left to right.
        places: The rank of each trial, from 0 for the worst to 1 for the best.
    """
    (axes,) = new_axes(max(7.6, 1.1 * len(tried)), 3.8)
    heights = np.stack([_heights(one) for one in tried], axis=1)
    across = np.arange(len(tried))
    order = np.argsort(places)  # the best on top
    place = np.asarray(places, dtype=float)[order]
    colours = _BAD_TO_GOOD(place)
    colours[:, 3] = 0.25 + 0.65 * place**3
    lines = [np.column_stack([across, heights[trial]]) for trial in order]
    raster = len(places) > _MANY
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=0.7 + place**8, rasterized=raster))
    axes.autoscale_view()
    for position, one in enumerate(tried):
        axes.axvline(position, color=INK, linewidth=0.8)
        for height, label in _ends(one):
            axes.text(position + 0.04, height, label, fontsize=7, va="center", color=INK)
    axes.set_xticks(across, [as_label(one.name) for one in tried], rotation=20, ha="right", rotation_mode="anchor")
    axes.set_yticks([])
    axes.set_ylim(-0.06, 1.06)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure_of(axes)


def _heights(tried: Tried) -> Any:
    numbers = np.log(tried.numbers()) if tried.is_log else tried.numbers()
    low, high = _bounds(tried)
    return (numbers - low) / (high - low) if high > low else np.where(np.isfinite(numbers), 0.5, np.nan)


def _bounds(tried: Tried) -> tuple[float, float]:
    if tried.choices is not None:
        return 0.0, len(tried.choices) - 1.0
    low, high = float(tried.distribution.low), float(tried.distribution.high)  # type: ignore[attr-defined]  # reason: a range
    return (float(np.log(low)), float(np.log(high))) if tried.is_log else (low, high)


def _ends(tried: Tried) -> list[tuple[float, str]]:
    if tried.choices is not None:
        last = max(1, len(tried.choices) - 1)
        return [(place / last if len(tried.choices) > 1 else 0.5, name) for place, name in enumerate(tried.choices)]
    low, high = _bounds(tried)
    return [
        (0.0, f"{np.exp(low) if tried.is_log else low:.3g}"),
        (1.0, f"{np.exp(high) if tried.is_log else high:.3g}"),
    ]
