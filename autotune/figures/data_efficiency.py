"""Data efficiency: a metric against the number of training rows, with a fitted law and its value at twice the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from autotune.figures.style import FIRST, INK, SECOND, as_label, figure_of, new_axes, styled


@dataclass(frozen=True)
class FittedCurve:
    """A fitted law with its 95 % interval.

    Attributes:
        n_rows: Numbers of rows, shape (m,), increasing; beyond the largest training it is an extrapolation.
        metric: The metric that the law predicts, shape (m,).
        low: Lower end of its 95 % interval, shape (m,).
        high: Upper end, shape (m,).
    """

    n_rows: Sequence[float]
    metric: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@styled
def draw_data_efficiency(
    metric: str, values: Mapping[float, Sequence[float]], law: FittedCurve | None = None
) -> Figure:
    """Draw trainings on increasing numbers of rows, and the law that was fitted to them.

    Args:
        metric: The name of the metric.
        values: The metrics of all trainings, by number of rows; at least one.
        law: The law, dashed beyond the largest number of rows; None for none.
    """
    (axes,) = new_axes()
    n_max = max(values)
    if law is not None:
        _draw_law(axes, law, n_max)
    each = np.array([(n_rows, value) for n_rows, found in values.items() for value in found])
    axes.scatter(each[:, 0], each[:, 1], s=14, color=FIRST, alpha=0.55, linewidths=0, label="a training")
    rows = sorted(values)
    means = [float(np.mean(values[n_rows])) for n_rows in rows]
    axes.scatter(rows, means, s=42, facecolors="none", edgecolors=INK, linewidths=1.2, label="mean", zorder=3)
    _scale_rows(axes, rows if law is None else [*rows, law.n_rows[-1]])
    axes.set_ylabel(as_label(metric))
    seen = [*each[:, 1], *(law.metric if law is not None else ())]
    room = 0.25 * (max(seen) - min(seen)) or 0.05 * abs(max(seen)) or 1.0
    axes.set_ylim(min(seen) - room, max(seen) + room)  # a wide band must not press the points into a line
    axes.legend(loc="best")
    return figure_of(axes)


def _draw_law(axes: Axes, law: FittedCurve, n_max: float) -> None:
    n_rows, metric = np.asarray(law.n_rows), np.asarray(law.metric)
    axes.fill_between(n_rows, law.low, law.high, color=SECOND, alpha=0.18, linewidth=0, label="95 % interval")
    at_max = float(np.interp(np.log(n_max), np.log(n_rows), metric))
    inside, outside = n_rows < n_max, n_rows > n_max
    axes.plot([*n_rows[inside], n_max], [*metric[inside], at_max], color=SECOND, label="power law")
    axes.plot([n_max, *n_rows[outside]], [at_max, *metric[outside]], color=SECOND, linestyle=(0, (4, 2.5)))
    last = float(n_rows[-1])
    axes.errorbar(
        last,
        metric[-1],
        yerr=[[metric[-1] - law.low[-1]], [law.high[-1] - metric[-1]]],
        fmt="D",
        markersize=5,
        color=SECOND,
        capsize=3,
        label=f"expected at {last:,.0f} rows",
    )


def _scale_rows(axes: Axes, marked: Sequence[float]) -> None:
    """Put rows on a logarithmic axis with a tick for each number of rows, except where ticks would be too close."""
    axes.set_xscale("log")
    ticks = [marked[-1]]
    for n_rows in reversed(marked[:-1]):
        if ticks[-1] / n_rows > 1.25:
            ticks.append(n_rows)
    if len(ticks) > 10:
        axes.xaxis.set_major_locator(LogLocator())
    else:
        axes.set_xticks(sorted(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n_rows, _: f"{n_rows:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("training rows")
