"""What a model looks at: over pictures in two colours with a neutral zero, and over words."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from autotune.figures.attributions import AGAINST, FOR, Overlay, can_draw, draw_attributions
from autotune.figures.predictions import draw_predictions
from autotune.figures.style import to_png, to_svg
from autotune.figures.words import coloured_words


def _picture(axes: Axes) -> Any:
    return np.asarray(axes.images[0].get_array())


def test_each_row_has_its_overlays_beside_it() -> None:
    row, values = np.zeros((3, 4, 1)), np.zeros((3, 4, 1))
    values[0, 0], values[1, 1] = 0.5, -0.5
    overlays = [Overlay("first", row, [("a", values), ("b", -values)]), Overlay("second", row, [("c", values)])]
    figure = draw_attributions(overlays)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["first", "a", "b", "second", "c", ""]
    shown = _picture(figure.axes[1])
    assert shown[0, 0] == pytest.approx(to_rgb(FOR))
    assert shown[1, 1] == pytest.approx(to_rgb(AGAINST))
    assert np.ptp(shown[2, 3]) == 0  # what counts for nothing is grey
    assert _picture(figure.axes[2])[0, 0] == pytest.approx(to_rgb(AGAINST))
    assert to_png(figure).startswith(b"\x89PNG")


def test_of_a_spectrogram_time_goes_from_left_to_right_and_pitch_up() -> None:
    row = np.zeros((9, 4, 1))
    row[8, 3] = 1.0
    figure = draw_attributions([Overlay("one", row, [("a", row)])], axes_names=("time", "pitch"))
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time", "pitch")
    assert _picture(axes).shape == (4, 9, 3)
    assert _picture(axes)[3, 8].tolist() == [1, 1, 1]
    assert axes.images[0].origin == "lower"


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (8, 8, 1), (6, 1)])
def test_rows_of_many_shapes_are_drawn(shape: tuple[int, ...]) -> None:
    row = np.random.default_rng(0).random(shape)
    assert can_draw(row)
    svg = to_svg(draw_attributions([Overlay("one", row, [("a", row - 0.5)])]), "seen")
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_what_is_no_picture_is_not_drawn() -> None:
    assert not can_draw(np.array("some words"))
    assert not can_draw(np.zeros((2, 3, 4, 5)))
    assert not can_draw(np.zeros(6))  # a row of a table, whose columns are no neighbours


def test_words_are_escaped_and_coloured_by_what_they_contribute() -> None:
    shown = ElementTree.fromstring(f"<p>{coloured_words(['<b>', 'so', 'bad'], np.array([0.2, 0.0, -0.4]))}</p>")
    assert [span.text for span in shown] == ["<b>", "so", "bad"]
    styles = [span.get("style") for span in shown]
    red, green, blue = (round(255 * part) for part in to_rgb(AGAINST))
    assert styles[2] == f"background:rgba({red},{green},{blue},0.60)"
    assert styles[1] is None
    assert str(styles[0]).endswith("0.30)")
    assert [span.get("title") for span in shown] == ["+0.200", "+0.000", "-0.400"]


def test_words_cannot_turn_the_page_around_them() -> None:
    assert re.findall(r">(.*?)</span>", coloured_words(["\u202eabc", "\x00"], np.zeros(2))) == [r"\u202eabc", r"\x00"]


def test_no_words_and_words_that_count_for_nothing_are_shown_plainly() -> None:
    assert coloured_words([], np.array([])) == ""
    assert "style" not in coloured_words(["a"], np.array([0.0]))


def test_numbers_are_drawn_against_what_was_predicted() -> None:
    figure = draw_predictions(np.array([1.0, 2.0]), np.array([1.5, 2.5]))
    (points,) = figure.axes[0].collections
    assert np.asarray(points.get_offsets()).tolist() == [[1.0, 1.5], [2.0, 2.5]]
