"""Rows of a table are bars with names, and no strips of pixels."""

from __future__ import annotations

from typing import Any

from matplotlib.colors import to_rgba

from autotune.figures.attributions import AGAINST, FOR
from autotune.figures.features import Bars, draw_features
from autotune.figures.style import to_png, to_svg


def test_each_feature_is_a_bar_with_its_name_and_value() -> None:
    figure = draw_features(
        [
            Bars("first", [("age = 41", 0.5), ("$income$ = missing", 0.0), ("height = 1.8", -0.25)]),
            Bars("second", [("age = 3", -1.0)]),
            Bars("third", [("age = 4", 1.0)]),
        ],
        columns=2,
    )
    first, second, third, empty = figure.axes
    assert [axes.get_title(loc="left") for axes in (first, second, third)] == ["first", "second", "third"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["age = 41", "$income$ = missing", "height = 1.8"]
    bars: Any = first.patches
    assert [bar.get_width() for bar in bars] == [0.5, 0.0, -0.25]
    assert [bar.get_facecolor() for bar in bars] == [to_rgba(FOR), to_rgba(AGAINST), to_rgba(AGAINST)]
    assert first.yaxis_inverted()
    assert not empty.axison
    assert to_png(figure).startswith(b"\x89PNG")
    assert "$income$ = missing" in to_svg(figure, "seen")
