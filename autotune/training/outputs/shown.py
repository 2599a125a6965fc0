"""The files that an ended Keras trial writes for people: history, learning curves, pictures of its outputs.

The files go into the trial's folder, and the parent moves them to the study's artifact store. Functions import the
figures when they need them, because parents and plain objectives work without Matplotlib; the fork server has imported
it already.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from autotune.data.rows import Dataset
from autotune.disk import disk_full
from autotune.errors import ParentGoneError
from autotune.training.checkpoints import CheckpointCopies, FoldHistory, TrialFolder
from autotune.training.outputs.drawing import file_name, main_pictures
from autotune.training.outputs.finding import find
from autotune.training.records import Timer

if TYPE_CHECKING:
    import keras

HISTORY = "history.json"
"""Every metric that Keras reported: a list of folds, each a dict from a metric to its values, one for each epoch."""

CURVES = "curves.png"
CONFUSION = "confusion"


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


def leave_pictures(folder: TrialFolder, model: keras.Model, data: Dataset, one_hot: bool = False) -> None:
    """Write the pictures of what each output of a model predicts; nothing for outputs that cannot be compared.

    Classes have `confusion.json`, with labels and counts, and `confusion.png`; other outputs `predictions.png`,
    `forecasts.png`, `labels.png`, `pictures.png`. With several outputs the name of the output is in the names of the
    files: `confusion-NAME.png`.

    Args:
        folder: The trial's folder.
        model: The trained model, with the weights of its best epoch.
        data: Rows that it was not trained on.
        one_hot: Whether it was trained on one-hot labels.

    Raises:
        OSError: If the disk is full.
    """
    from autotune.figures import to_png

    with _not_failing(folder, "The outputs could not be drawn"):
        for one in find(model, data, np.arange(len(data)), one_hot):
            pictures = main_pictures(one)
            if pictures:
                folder.shown.mkdir(parents=True, exist_ok=True)
            if one.kind in ("classes", "mask") and one.confusion is not None:
                content = {"labels": list(one.class_names), "counts": one.confusion.tolist()}
                (folder.shown / f"{file_name(CONFUSION, one.output)}.json").write_text(json.dumps(content), "utf-8")
            for picture in pictures:
                (folder.shown / f"{picture.name}.png").write_bytes(to_png(picture.figure))


@contextlib.contextmanager
def _not_failing(folder: TrialFolder, problem: str) -> Iterator[None]:
    """Print an error in drawing a figure instead of raising it, unless the disk is full."""
    try:
        yield
    except Exception as error:
        if disk_full(error, folder.path):
            raise
        print(f"{problem}: {type(error).__name__}: {error}")
