"""Learning curves: what is drawn of which numbers."""

from __future__ import annotations

import math

import pytest
from matplotlib.figure import Figure

from autotune.figures.epochs import learning_curve
from autotune.figures.style import to_png

HISTORY = {"accuracy": [0.5, 0.7], "loss": [2.0, 1.0], "val_accuracy": [0.4, 0.6], "val_loss": [2.5, 3.0]}


def lines(figure: Figure) -> dict[str, dict[str, list[float]]]:
    """Return what is drawn, by the panels' titles and the lines' labels."""
    return {
        axes.get_title(): {str(line.get_label()): list(line.get_ydata()) for line in axes.get_lines()}  # type: ignore[arg-type]  # reason: they are lists of floats
        for axes in figure.axes
    }


def test_the_monitored_metric_and_the_loss_are_drawn_on_training_and_validation_rows() -> None:
    drawn = lines(learning_curve([HISTORY], "val_accuracy", [2]))
    assert list(drawn) == ["accuracy", "loss"]
    assert drawn["accuracy"]["training"] == HISTORY["accuracy"]
    assert drawn["accuracy"]["validation"] == HISTORY["val_accuracy"]
    assert drawn["loss"]["validation"] == HISTORY["val_loss"]


def test_the_best_epoch_is_marked_with_its_value() -> None:
    drawn = lines(learning_curve([HISTORY], "val_loss", [1]))
    assert list(drawn) == ["loss"]
    assert drawn["loss"]["epoch 1: 2.5"] == [2.5]


def test_all_folds_are_drawn_and_named_once() -> None:
    figure = learning_curve([HISTORY, HISTORY, HISTORY], "val_accuracy", [2, 1, 2])
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["training", "validation", "best epochs"]
    assert sum(list(line.get_ydata()) == HISTORY["val_accuracy"] for line in figure.axes[0].get_lines()) == 3


@pytest.mark.parametrize(
    ("history", "monitor"),
    [
        ({"loss": [1e9]}, "loss"),  # a refit of one epoch
        ({"loss": [1.0, math.nan], "val_loss": [math.inf, math.nan]}, "val_loss"),
        ({"loss": [math.nan], "mse": [math.nan]}, "val_mse"),
        ({"accuracy": [0.1, 0.2]}, "val_auc"),
    ],
)
def test_any_history_gives_a_picture(history: dict[str, list[float]], monitor: str) -> None:
    assert to_png(learning_curve([history], monitor, [1])).startswith(b"\x89PNG")
