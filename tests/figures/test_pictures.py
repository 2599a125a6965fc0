"""Images and masks beside each other, and pictures of numbers."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from autotune.figures.pictures import Beside, draw_beside
from autotune.figures.predictions import Forecast, draw_forecasts, draw_labels, draw_predictions
from autotune.figures.style import COLOURS, to_png, to_svg


def test_each_class_of_a_mask_has_its_colour_in_all_panels() -> None:
    mask, other = np.array([[0, 1], [2, 0]]), np.array([[0, 1], [1, 0]])[..., np.newaxis]
    figure = draw_beside([Beside("one", np.zeros((2, 2, 3)), mask, other)], ("ground", "cat", "$dog$"))
    image, true, predicted = (np.asarray(axes.images[0].get_array()) for axes in figure.axes)
    assert image.shape == (2, 2, 3)
    assert true[0, 1] == pytest.approx(to_rgb(COLOURS[0]))
    assert true[1, 0] == pytest.approx(to_rgb(COLOURS[1]))
    assert predicted[1, 0] == pytest.approx(to_rgb(COLOURS[0]))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ground", "cat", "$dog$"]
    assert to_png(figure).startswith(b"\x89PNG")
    assert "$dog$" in to_svg(figure, "seen")


def test_predicted_numbers_have_the_scale_of_the_true_ones() -> None:
    true, predicted = np.array([[0.0, 2.0]]), np.array([[1.0, 9.0]])
    figure = draw_beside([Beside("one", None, true, predicted)])
    shown = [np.asarray(axes.images[0].get_array())[0, :, 0].tolist() for axes in figure.axes]
    assert shown == [[0.0, 1.0], [0.5, 1.0]]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["one: true", "predicted"]


def test_a_forecast_without_a_known_past_and_of_one_step_is_drawn_too() -> None:
    one = Forecast("row 3", np.zeros(0), np.array([2.0]), np.array([3.0]))
    figure = draw_forecasts([one], np.array([1.0]))
    assert [line.get_xydata().tolist() for line in figure.axes[0].lines] == [[[1.0, 2.0]], [[1.0, 3.0]]]
    assert to_png(figure).startswith(b"\x89PNG")


def test_rows_of_each_label_are_found_missed_or_false() -> None:
    figure = draw_labels(["a", "b"], np.array([[3, 1, 0], [0, 2, 5]]))
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == [3, 0, 1, 2, 0, 5]


def test_each_column_has_a_panel_with_its_name() -> None:
    numbers = np.random.default_rng(0).normal(size=(5, 4))
    figure = draw_predictions(numbers, numbers + 1, ["a", "b", "$c$", "d"])
    assert [axes.get_title() for axes in figure.axes[:4]] == ["a", "b", "$c$", "d"]
    assert not any(axes.axison for axes in figure.axes[4:])
