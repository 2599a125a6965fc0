"""The files that an ended Keras trial writes for people: history, learning curves, confusion matrix.

The files go into the trial's folder, and the parent moves them to the study's artifact store. Functions import the
figures when they need them, because parents and plain objectives work without Matplotlib; the fork server has imported
it already.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from autotune.data.rows import Dataset
from autotune.data.sources import class_names_of
from autotune.disk import disk_full
from autotune.errors import ParentGoneError
from autotune.training.checkpoints import CheckpointCopies, FoldHistory, TrialFolder
from autotune.training.outputs.predicting import confusion_matrix, predict, predicted_classes
from autotune.training.outputs.purpose import purpose_of
from autotune.training.records import Timer

if TYPE_CHECKING:
    import keras

HISTORY = "history.json"
"""Every metric that Keras reported: a list of folds, each a dict from a metric to its values, one for each epoch."""

CURVES = "curves.png"
CONFUSION, CONFUSION_PICTURE = "confusion.json", "confusion.png"


@contextlib.contextmanager
def leaving_history(folder: TrialFolder, copies: CheckpointCopies, monitor: str, timer: Timer) -> Iterator[None]:
    """Call `leave_history` when the block ends, normally or with an error of the trial.

    Args:
        folder: The trial's folder.
        copies: Holds the histories of the folds.
        monitor: The monitored metric.
        timer: Counts the seconds that this takes.
    """
    try:
        yield
    except ParentGoneError:
        raise  # another process resumes the trial
    except Exception:
        with timer.spending("pictures"):
            leave_history(folder, copies.histories, monitor)
        raise
    else:
        with timer.spending("pictures"):
            leave_history(folder, copies.histories, monitor)


def leave_history(folder: TrialFolder, histories: Sequence[FoldHistory], monitor: str) -> None:
    """Write `history.json` and `curves.png` for all folds that were started; nothing if no epoch is finished.

    Raises:
        OSError: If the disk is full.
    """
    if not histories:
        return
    from autotune.figures import learning_curve, to_png

    metrics = [fold.metrics for fold in histories]
    with _not_failing(folder, "The learning curves could not be drawn"):
        folder.shown.mkdir(parents=True, exist_ok=True)
        (folder.shown / HISTORY).write_text(json.dumps(metrics), "utf-8")
        figure = learning_curve(metrics, monitor, [fold.best_epoch for fold in histories])
        (folder.shown / CURVES).write_bytes(to_png(figure))


def leave_confusion(folder: TrialFolder, model: keras.Model, data: Dataset, one_hot: bool = False) -> None:
    """Write `confusion.json`, with labels and counts, and `confusion.png`; nothing if the model is no classifier.

    Args:
        folder: The trial's folder.
        model: The trained model, with the weights of its best epoch.
        data: Rows that it was not trained on.
        one_hot: Whether it was trained on one-hot labels.

    Raises:
        OSError: If the disk is full.
    """
    from autotune.figures import draw_confusion, to_png

    labels = data.labels
    if labels is None or data.n_classes is None:
        return
    with _not_failing(folder, "The confusion matrix could not be drawn"):
        outputs = predict(model, data)
        if purpose_of(model, outputs.shape[1], data.n_classes, one_hot) != "classes":
            return
        n_classes = max(data.n_classes, outputs.shape[1])  # the model may have a class without rows
        counts = confusion_matrix(labels, predicted_classes(outputs), n_classes)
        names = list(class_names_of(data.name, n_classes))
        folder.shown.mkdir(parents=True, exist_ok=True)
        (folder.shown / CONFUSION).write_text(json.dumps({"labels": names, "counts": counts.tolist()}), "utf-8")
        (folder.shown / CONFUSION_PICTURE).write_bytes(to_png(draw_confusion(counts, names)))


@contextlib.contextmanager
def _not_failing(folder: TrialFolder, problem: str) -> Iterator[None]:
    """Print an error in drawing a figure instead of raising it, unless the disk is full."""
    try:
        yield
    except Exception as error:
        if disk_full(error, folder.path):
            raise
        print(f"{problem}: {type(error).__name__}: {error}")
