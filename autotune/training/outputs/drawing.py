"""Figures of findings; only a call needs Matplotlib."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autotune.training.outputs.describing import COLOURS, MOST_FEATURES, as_text, described, features_of, most_wrong
from autotune.training.outputs.findings import Example, Findings, Reasons

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS = 6  # of a table, or with masks, are drawn: each takes the height of a chart
_LONGEST_NAME = 40  # characters; a file's name may have 255 bytes
_LONGEST_PAST = 3  # a forecast is drawn with the last steps before it, at most so many times its length
_ONLY_NUMBERS = ("raises the number", "lowers it")


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure of findings.

    Attributes:
        name: A name that no other picture of the same findings has; also the name of its file, without the ending.
        caption: What there is to see, a sentence.
        figure: The figure.
    """

    name: str
    caption: str
    figure: Figure


def main_pictures(findings: Findings) -> list[Picture]:
    """Return the pictures of all rows together: confusion matrix, predictions, forecasts, or masks beside images."""
    draw: dict[str, Callable[[Findings], list[Picture]]] = {
        "classes": _confusion,
        "mask": lambda one: [*_confusion(one), *_beside(one)],
        "labels": _labels,
        "numbers": _predictions,
        "forecast": _forecasts,
        "image": _beside,
    }
    return draw[findings.kind](findings) if findings.kind in draw else []


def example_pictures(findings: Findings) -> list[Picture]:
    """Return the pictures of single rows: images with their attributions, and rows of tables as bars.

    Inputs that are no pictures and no tables, such as texts, are not drawn; `figures.coloured_words` shows them.
    """
    if findings.kind not in COLOURS:
        return []
    found = []
    kinds = {
        "mistakes": ("The mistakes that the model is surest of", findings.wrong),
        "right": ("Rows that it is right about", findings.right),
    }
    if findings.kind == "numbers":
        kinds = {"errors": ("The largest errors", findings.wrong)}
    for kind, (heading, examples) in kinds.items():
        for name, figure in _of_inputs(examples, findings):
            whose = f": the input {name!r}" if name else ""
            colours = COLOURS[findings.kind] if examples[0].for_predicted is not None else ""
            caption = f"{heading}{whose}. {colours}".strip()
            found.append(Picture(file_name(kind, findings.output, name), caption, figure))
    return found


def file_name(kind: str, *parts: str) -> str:
    """Return the name of a picture: its kind, and the names of an output and an input.

    Names that are too long or no names of files are cut, and told apart by a checksum.

    Example:
        >>> file_name("confusion", "output 0", ""), file_name("pictures", "a/b")
        ('confusion-output_0', 'pictures-a_b_07f4401c')
    """
    return "-".join([kind, *map(_as_file_name, filter(None, parts))])


def _as_file_name(part: str) -> str:
    name = re.sub(r"\W+", "_", part)
    if name == part.replace(" ", "_") and len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}_{zlib.crc32(part.encode('utf-8', 'replace')):08x}"


def _confusion(findings: Findings) -> list[Picture]:
    from autotune.figures import draw_confusion

    assert findings.confusion is not None
    caption = "True classes by predicted ones, on rows that the model was not trained on; bold counts are mistakes."
    figure = draw_confusion(findings.confusion, findings.class_names, findings.counted)
    return [Picture(file_name("confusion", findings.output), caption, figure)]


def _labels(findings: Findings) -> list[Picture]:
    from autotune.figures import draw_labels

    assert findings.confusion is not None
    caption = (
        "Rows that have a label and are found, have it and are missed, and do not have it but are said to. "
        "A label is found if its probability is above 0.5."
    )
    figure = draw_labels(findings.class_names, findings.confusion)
    return [Picture(file_name("labels", findings.output), caption, figure)]


def _predictions(findings: Findings) -> list[Picture]:
    from autotune.figures import draw_predictions

    assert findings.true is not None
    assert findings.predicted is not None
    caption = "What is predicted against what is true, on rows that the model was not trained on."
    n_columns = findings.wrong[0].true.size
    if len(findings.columns) < n_columns:
        caption += f" Of {n_columns} columns, the {len(findings.columns)} that vary most."
    names = [f"column {number}" for number in findings.columns]
    figure = draw_predictions(findings.true, findings.predicted, names)
    return [Picture(file_name("predictions", findings.output), caption, figure)]


def _forecasts(findings: Findings) -> list[Picture]:
    from autotune.figures import Forecast, draw_forecasts

    assert findings.errors is not None
    chosen = {"largest": findings.wrong[0], "median": findings.right[0], "smallest": findings.right[-1]}
    rows = [
        Forecast(f"{title} error, row {one.position}", _past(one), one.true[:, 0], one.predicted[:, 0])
        for title, one in chosen.items()
    ]
    caption = (
        "Forecasts of three rows after the last steps that the model is given, "
        "and the mean absolute error of each step over all rows."
    )
    if findings.wrong[0].true.shape[1] > 1:
        caption += " The first column is drawn."
    return [Picture(file_name("forecasts", findings.output), caption, draw_forecasts(rows, findings.errors))]


def _past(example: Example) -> npt.NDArray[Any]:
    """Return the last steps of the first column that a forecast goes on with; nothing if the columns are others."""
    horizon, columns = example.true.shape
    for given in example.inputs:
        steps = given.row.reshape(len(given.row), -1) if given.row.ndim else given.row.reshape(0, 1)
        if steps.dtype.kind in "fiub" and steps.shape[1] == columns:
            return steps[-max(12, _LONGEST_PAST * horizon) :, 0]
    return np.zeros(0)


def _beside(findings: Findings) -> list[Picture]:
    from autotune.figures import Beside, draw_beside

    found = []
    captions = {
        "pictures": ("The worst rows", findings.wrong[:_MOST_ROWS]),
        "typical": ("Typical rows, from the median to the best", findings.right[:_MOST_ROWS]),
    }
    for kind, (heading, examples) in captions.items():
        if not examples or not _is_flat(examples[0].true, findings):
            continue
        rows = [Beside(described(one, findings), _image(one), one.true, one.predicted) for one in examples]
        caption = f"{heading}: what the model is given, what should come out, and what does."
        if findings.kind == "mask":
            caption = f"{heading}, by intersection over union (IoU): the image, the true and the predicted mask."
        found.append(Picture(file_name(kind, findings.output), caption, draw_beside(rows, findings.class_names)))
    return found


def _is_flat(true: npt.NDArray[Any], findings: Findings) -> bool:
    """Tell whether what should come out is a picture: no sequence, and no mask of a volume or of a film."""
    length = np.squeeze(true).ndim
    return length == 2 or (length == 3 and findings.kind == "image")


def _image(example: Example) -> npt.NDArray[Any] | None:
    """Return the input that is an image, if there is one."""
    from autotune.figures import can_draw

    return next((given.row for given in example.inputs if can_draw(given.row)), None)


def _of_inputs(examples: Sequence[Example], findings: Findings) -> Iterable[tuple[str, Figure]]:
    from autotune.figures import can_draw

    if not examples:
        return
    for at, given in enumerate(examples[0].inputs):
        drawable = [one for one in examples if can_draw(one.inputs[at].row) and not one.inputs[at].words]
        if drawable:
            yield given.name, _drawn(drawable, findings, at)
    if (figure := _bars(examples, findings)) is not None:
        yield "", figure


def _views(example: Example, findings: Findings) -> list[tuple[str, Reasons]]:
    """Return the attributions of an example, each with what they are for."""
    if findings.kind != "classes":
        of = findings.class_names[most_wrong(example)] if findings.kind == "labels" else as_text(example.predicted)
        return [] if example.for_predicted is None else [(of, example.for_predicted)]
    views = (("predicted", example.predicted, example.for_predicted), ("true", example.true, example.for_true))
    return [
        (f"{findings.class_names[int(of)]} ({which})", reasons) for which, of, reasons in views if reasons is not None
    ]


def _bars(examples: Sequence[Example], findings: Findings) -> Figure | None:
    from autotune.figures import Bars, as_label, draw_features

    panels = []
    for example in examples[:_MOST_ROWS]:
        for of, reasons in _views(example, findings):
            most = features_of(example, reasons)
            bars = [(f"{as_label(name, 20)} = {value}", share) for name, value, share in most[:MOST_FEATURES]]
            if rest := most[MOST_FEATURES:]:
                bars.append((f"{len(rest)} others", sum(share for *_, share in rest)))
            if bars:
                title = described(example, findings)
                panels.append(Bars(f"{title}: for {of}" if findings.kind == "classes" else title, bars))
    meanings = (_ONLY_NUMBERS,) if findings.kind == "numbers" else ()
    return draw_features(panels, 2, *meanings) if panels else None


def _drawn(examples: Sequence[Example], findings: Findings, at: int) -> Figure:
    from autotune.figures import Overlay, draw_attributions

    overlays = []
    for example in examples:
        views = [(of, reasons.values[at]) for of, reasons in _views(example, findings)]
        layers = [(of, values) for of, values in views if values is not None]
        overlays.append(Overlay(described(example, findings), example.inputs[at].row, layers))
    meanings = (_ONLY_NUMBERS,) if findings.kind == "numbers" else ()
    return draw_attributions(overlays, findings.axes, *meanings)
