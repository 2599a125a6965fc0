"""Trainings on more and more rows, with the law and without."""

from __future__ import annotations

import numpy as np

from autotune.figures.data_efficiency import FittedCurve, draw_data_efficiency
from autotune.figures.style import to_svg

VALUES = {100: [0.7, 0.72], 300: [0.82, 0.8], 1000: [0.9, 0.89]}


def _law() -> FittedCurve:
    n_rows = np.geomspace(100, 2000, 9)
    metric = 1 - 0.1 * (n_rows / 1000) ** -0.5
    return FittedCurve(list(n_rows), list(metric), list(metric - 0.01), list(metric + 0.01))


def test_every_training_is_there_and_the_law_is_dashed_beyond_them() -> None:
    figure = draw_data_efficiency("val_accuracy", VALUES, _law())
    (axes,) = figure.axes
    (trainings,) = (one for one in axes.collections if one.get_label() == "a training")
    assert sorted(map(tuple, np.asarray(trainings.get_offsets()))) == sorted(
        (n, v) for n, found in VALUES.items() for v in found
    )
    measured, beyond = axes.lines[:2]
    assert measured.get_linestyle() == "-"
    assert beyond.get_linestyle() == "--"
    assert max(measured.get_xdata()) == min(beyond.get_xdata()) == 1000
    assert max(beyond.get_xdata()) == 2000
    svg = to_svg(figure, "rows")
    assert "expected at 2,000 rows" in svg
    assert "1,000" in svg
    assert "val_accuracy" in svg


def test_without_a_law_there_are_the_trainings_alone() -> None:
    figure = draw_data_efficiency("val_accuracy", {50: [0.5]})
    assert not figure.axes[0].lines
    assert "expected" not in to_svg(figure, "rows")
