"""A confusion matrix that shows its mistakes, with two classes and with many."""

from __future__ import annotations

import re

import numpy as np
import pytest

from autotune.figures.confusion import draw_confusion
from autotune.figures.style import to_png, to_svg


def test_every_count_but_zero_is_written_and_the_title_says_how_many_are_right() -> None:
    figure = draw_confusion(np.array([[40, 3, 0], [1, 7, 0], [0, 0, 0]]), ["cat", "dog", "a very long name indeed"])
    (axes,) = figure.axes
    assert {(text.get_text(), *text.get_position()) for text in axes.texts} == {
        *[("40", 0.5, 0.5), ("3", 1.5, 0.5), ("1", 0.5, 1.5), ("7", 1.5, 1.5)],
    }
    assert axes.get_title() == "47 of 51 rows right (92.2%)"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "a very long nam…"]


def test_mistakes_have_a_colour_of_their_own_by_their_share_of_the_true_class() -> None:
    figure = draw_confusion(np.array([[1000, 10], [1, 9]]), ["0", "1"])
    colours = np.asarray(figure.axes[0].collections[0].get_array())
    right, few, many = colours[0, 0], colours[0, 1], colours[1, 0]
    assert right[:3] != pytest.approx(few[:3])
    assert few[:3] == pytest.approx(many[:3])
    assert many[3] > few[3] > 0.1  # one of ten weighs more than ten of a thousand, which is seen, too


@pytest.mark.parametrize("n", [2, 30, 60])
def test_it_is_drawn_for_any_number_of_classes(n: int) -> None:
    figure = draw_confusion(np.eye(n, dtype=int) * 5, [str(number) for number in range(n)])
    assert to_png(figure).startswith(b"\x89PNG")
    written = re.findall(r">5</text>", to_svg(figure, "confusion"))
    assert len(written) >= n if n < 60 else len(written) < n


def test_of_many_classes_the_picture_on_a_page_has_a_size_and_names_that_can_be_read() -> None:
    figure = draw_confusion(np.eye(200, dtype=np.int64), [f"class {number}" for number in range(200)])
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [f"class {number}" for number in range(0, 200, 2)]
    assert len(to_svg(figure, "seen")) < 500_000  # 40,000 cells as shapes take 8 million characters
