"""Confusion matrices as pictures."""

from __future__ import annotations

import numpy as np

from autotune.figures.confusion import confusion_matrix_figure
from autotune.figures.style import to_png


def test_each_cell_holds_how_often_a_class_was_taken_for_another() -> None:
    figure = confusion_matrix_figure(np.array([[9, 1], [0, 7]]), ["cat", "dog"])
    (axes,) = figure.axes
    assert {text.get_position(): text.get_text() for text in axes.texts} == {(0, 0): "9", (1, 0): "1", (1, 1): "7"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert to_png(figure).startswith(b"\x89PNG")


def test_many_classes_are_shown_without_numbers() -> None:
    (axes,) = confusion_matrix_figure(np.eye(60, dtype=np.int64), [str(label) for label in range(60)]).axes
    assert not axes.texts
