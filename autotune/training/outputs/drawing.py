"""Figures of findings, and what they show in words; only a call needs Matplotlib."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autotune.training.outputs.findings import Example, Findings, Given, Reasons
from autotune.training.outputs.predicting import intersection_over_union, mask_scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_FEATURES = 8
"""Of a row of a table are shown one by one."""

_MOST_ROWS = 6  # of a table, or with masks, are drawn: each takes the height of a chart
_LONGEST_PAST = 3  # a forecast is drawn with the last steps before it, at most so many times its length
_ONLY_NUMBERS = ("raises the number", "lowers it")

COLOURS = {
    "classes": "Orange speaks for the class, blue against it (integrated gradients).",
    "labels": "Orange speaks for the label that it is most wrong about, blue against it (integrated gradients).",
    "numbers": "Orange raises the predicted number, blue lowers it (integrated gradients).",
}
"""What the two colours of attributions mean, by kind of findings."""


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
            whose = f", its input {name!r}" if name else ""
            caption = f"{heading}{whose}. {COLOURS[findings.kind]}"
            found.append(Picture(file_name(kind, findings.output, name), caption, figure))
    return found


def file_name(kind: str, *parts: str) -> str:
    """Return the name of a picture: its kind, and the names of an output and an input.

    Example:
        >>> file_name("confusion", "a/b", ""), file_name("pictures")
        ('confusion-a_b', 'pictures')
    """
    return "-".join([kind, *(re.sub(r"\W+", "_", part) for part in parts if part)])


def described(example: Example, findings: Findings) -> str:
    """Say in a few words what an example is, e.g. "3 read as 8 (98 %)"."""
    true, predicted, names = example.true, example.predicted, findings.class_names
    if findings.kind == "classes":
        sure = f"({example.probability:.0%})"
        is_right = int(true) == int(predicted)
        return (
            f"{names[int(true)]} {sure}" if is_right else f"{names[int(true)]} read as {names[int(predicted)]} {sure}"
        )
    if findings.kind == "labels":
        has, said = (", ".join(np.array(names)[which]) or "nothing" for which in (true > 0, predicted > 0.5))
        return f"has {has}; found {said}; most wrong about {names[most_wrong(example)]}"
    if findings.kind == "mask":
        score = mask_scores(true[np.newaxis], predicted[np.newaxis], len(names))[0]
        return f"IoU {score:.2f}"
    if findings.kind == "numbers" and true.size <= MOST_FEATURES:
        return f"{_numbers(true)} predicted as {_numbers(predicted)}"
    return f"mean absolute error {np.abs(np.subtract(true, predicted, dtype=np.float64)).mean():.4g}"


def most_wrong(example: Example) -> int:
    """Return the label of a row whose probability is farthest from the truth."""
    return int(np.abs(example.predicted - example.true).argmax())


def in_numbers(findings: Findings) -> list[str]:
    """Return what is found about all rows in a few sentences: metrics, what is right, classes of masks, steps."""
    found = [f"{name} {value:.4g}" for name, value in findings.metrics.items()]
    lines = [f"Metrics: {', '.join(found)}."] if found else []
    if findings.kind == "classes":
        lines.append(f"{findings.n_right:,} of {findings.n_rows:,} right ({findings.n_right / findings.n_rows:.2%}).")
    if findings.kind == "mask" and findings.confusion is not None:
        scores = zip(findings.class_names, intersection_over_union(findings.confusion), strict=True)
        shown = ", ".join(f"{name} {score:.3f}" for name, score in scores if score == score)
        lines.append(f"Intersection over union of each class: {shown}.")
    if findings.errors is not None:
        first, last = findings.errors[[0, -1]]
        lines.append(f"Mean absolute error: {first:.4g} at the first step, {last:.4g} at step {len(findings.errors)}.")
    if findings.kind == "labels" and findings.confusion is not None:
        for name, (found_rows, missed, false) in zip(findings.class_names, findings.confusion.tolist(), strict=True):
            lines.append(f"{name}: {found_rows:,} of {found_rows + missed:,} rows found, {false:,} false.")
    return lines


def features_of(example: Example, reasons: Reasons | None = None) -> list[tuple[str, str, float]]:
    """Return the name, the value and the contribution of each feature of a row, 0 without reasons.

    Features are the columns of tables, and inputs of one value each. A text or an image is one feature if there are
    other inputs, with the sum of its attributions. Those that contribute most come first; without reasons they are in
    the order of the table.
    """
    found: list[tuple[str, str, float]] = []
    for at, given in enumerate(example.inputs):
        values = reasons.values[at] if reasons is not None else None
        if not _is_table(given):
            if values is not None and len(example.inputs) > 1:
                size = f"{len(given.words)} words" if given.words else "x".join(map(str, given.row.shape))
                found.append((given.name, size, float(values.sum())))
            continue
        shares = np.zeros(given.row.size) if values is None else values.ravel()
        names = given.features or (given.name,)
        found += [
            (name, _cell(cell), float(share))
            for name, cell, share in zip(names, given.row.ravel().tolist(), shares, strict=True)
        ]
    return sorted(found, key=lambda one: -abs(one[2]))


def in_features(example: Example) -> str:
    """Return the features of a row in one line, those that contribute most first; "" if it has none."""
    reasons = example.for_predicted
    shown = [
        f"{name} = {value}{'' if reasons is None else f' ({share:+.2f})'}"
        for name, value, share in features_of(example, reasons)
    ]
    others = f", and {len(shown) - MOST_FEATURES} others" if len(shown) > MOST_FEATURES else ""
    return ", ".join(shown[:MOST_FEATURES]) + others


def _is_table(given: Given) -> bool:
    return bool(given.features) or (given.row.ndim == 0 and bool(given.name) and len(given.words) <= 1)


def _cell(value: Any) -> str:
    if isinstance(value, (str, bytes)):
        return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return "missing" if value != value else f"{value:.4g}"


def _numbers(values: npt.NDArray[Any]) -> str:
    return ", ".join(f"{value:.4g}" for value in values.ravel())


def _confusion(findings: Findings) -> list[Picture]:
    from autotune.figures import draw_confusion

    assert findings.confusion is not None
    of = "pixels" if findings.kind == "mask" else "rows"
    caption = "True classes by predicted ones, on rows that the model was not trained on; bold counts are mistakes."
    figure = draw_confusion(findings.confusion, findings.class_names, of)
    return [Picture(file_name("confusion", findings.output), caption, figure)]


def _labels(findings: Findings) -> list[Picture]:
    from autotune.figures import draw_labels

    assert findings.confusion is not None
    caption = (
        "Rows that have a label and are found, have it and are missed, and do not have it but are said to. A label "
    )
    caption += "is found if its probability is above 0.5."
    figure = draw_labels(findings.class_names, findings.confusion)
    return [Picture(file_name("labels", findings.output), caption, figure)]


def _predictions(findings: Findings) -> list[Picture]:
    from autotune.figures import draw_predictions

    assert findings.true is not None
    assert findings.predicted is not None
    caption = "What is predicted against what is true, on rows that the model was not trained on."
    figure = draw_predictions(findings.true, findings.predicted)
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
        "Forecasts of three rows after the last steps that the model is given, and the mean absolute error of each "
    )
    caption += "step over all rows."
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
        if not examples or np.squeeze(examples[0].true).ndim < 2:
            continue
        rows = [Beside(described(one, findings), _image(one), one.true, one.predicted) for one in examples]
        caption = f"{heading}: what the model is given, what should come out, and what does."
        if findings.kind == "mask":
            caption = f"{heading}, by intersection over union (IoU): the image, the true and the predicted mask."
        found.append(Picture(file_name(kind, findings.output), caption, draw_beside(rows, findings.class_names)))
    return found


def _image(example: Example) -> npt.NDArray[Any] | None:
    """Return the input that is an image, if there is one."""
    from autotune.figures import can_draw

    return next((given.row for given in example.inputs if can_draw(given.row)), None)


def _of_inputs(examples: Sequence[Example], findings: Findings) -> Iterable[tuple[str, Figure]]:
    from autotune.figures import can_draw

    if not examples:
        return
    for at, given in enumerate(examples[0].inputs):
        if can_draw(given.row) and not given.words:
            yield given.name, _drawn(examples, findings, at)
    if (figure := _bars(examples, findings)) is not None:
        yield "", figure


def _views(example: Example, findings: Findings) -> list[tuple[str, Reasons]]:
    """Return the attributions of an example, each with what they are for."""
    if findings.kind == "numbers":
        return [] if example.for_predicted is None else [(_numbers(example.predicted), example.for_predicted)]
    if findings.kind == "labels":
        return (
            []
            if example.for_predicted is None
            else [(findings.class_names[most_wrong(example)], example.for_predicted)]
        )
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
