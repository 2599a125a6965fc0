"""Figures of an explanation, for a page and as PNG files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autotune.results.explanation.record import Example, Explanation, Findings, Reasons

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_FEATURES = 8
"""Of a row of a table are shown one by one."""

_MOST_ROWS = 6  # of a table are drawn: each takes the height of a chart

_NAMES = ("confusion", "predictions", "mistakes", "right")


def explanation_figures(findings: Findings) -> dict[str, Figure]:
    """Return the pictures there are, by name: "confusion" or "predictions", "mistakes", "right".

    Rows of a table are bars, named with features and values. Rows that are no pictures, such as texts, are not drawn;
    `figures.words.coloured_words` shows them in a page.
    """
    from autotune.figures import (
        draw_confusion,  # Matplotlib takes half a second to import
        draw_predictions,
    )

    found: dict[str, Figure] = {}
    if findings.confusion is not None:
        found["confusion"] = draw_confusion(findings.confusion, findings.class_names)
    if findings.true is not None and findings.predicted is not None:
        found["predictions"] = draw_predictions(findings.true, findings.predicted)
    for name, examples in (("mistakes", findings.wrong), ("right", findings.right)):
        figure = _bars(examples, findings) if findings.features else _drawn(examples, findings)
        if figure is not None:
            found[name] = figure
    return found


def write_pictures(explanation: Explanation) -> list[Path]:
    """Write the pictures as PNG into the explanation's folder, in the place of earlier ones, and return their paths.

    Raises:
        OSError: The disk is full or the folder cannot be written.
    """
    from autotune.figures import to_png

    figures = explanation_figures(explanation.findings)
    for name in _NAMES:
        if name not in figures:
            (explanation.folder / f"{name}.png").unlink(missing_ok=True)
    return [_write(explanation.folder / f"{name}.png", to_png(figure)) for name, figure in figures.items()]


def described(example: Example, findings: Findings) -> str:
    """Say in a few words what an example is, e.g. "3 read as 8 (98 %)"."""
    if example.probability is None:
        return f"{example.true:.4g} predicted as {example.predicted:.4g}"
    true, predicted = (findings.class_names[int(label)] for label in (example.true, example.predicted))
    sure = f"({example.probability:.0%})"
    return f"{true} {sure}" if example.true == example.predicted else f"{true} read as {predicted} {sure}"


def features_of(example: Example, findings: Findings, reasons: Reasons | None = None) -> list[tuple[str, str, float]]:
    """Return the name, the value and the contribution of each feature of a row of a table, 0 without reasons.

    Those that contribute most come first; without reasons they are in the order of the table.
    """
    values = [0.0] * len(findings.features) if reasons is None else [float(value) for value in reasons.values]
    named = zip(findings.features, example.row.tolist(), values, strict=True)
    found = [(name, "missing" if cell != cell else f"{cell:.4g}", value) for name, cell, value in named]
    return sorted(found, key=lambda one: -abs(one[2]))


def in_features(example: Example, findings: Findings) -> str:
    """Return the features of a row of a table in one line, those that speak most for or against its class first."""
    reasons = example.for_predicted
    shown = [
        f"{name} = {value}{'' if reasons is None else f' ({share:+.2f})'}"
        for name, value, share in features_of(example, findings, reasons)
    ]
    others = f", and {len(shown) - MOST_FEATURES} others" if len(shown) > MOST_FEATURES else ""
    return ", ".join(shown[:MOST_FEATURES]) + others


def _bars(examples: Sequence[Example], findings: Findings) -> Figure | None:
    from autotune.figures import Bars, as_label, draw_features

    panels = []
    for example in examples[:_MOST_ROWS]:
        for of, reasons in ((example.predicted, example.for_predicted), (example.true, example.for_true)):
            if reasons is not None:
                title = f"{described(example, findings)}: for {findings.class_names[int(of)]}"
                most = features_of(example, findings, reasons)
                bars = [(f"{as_label(name, 20)} = {value}", share) for name, value, share in most[:MOST_FEATURES]]
                if rest := most[MOST_FEATURES:]:
                    bars.append((f"{len(rest)} others", sum(share for *_, share in rest)))
                panels.append(Bars(title, bars))
    return draw_features(panels, columns=2) if panels else None


def _drawn(examples: Sequence[Example], findings: Findings) -> Figure | None:
    from autotune.figures import Overlay, can_draw, draw_attributions

    if not examples or not can_draw(examples[0].row):
        return None
    overlays = []
    for example in examples:
        views = {
            "predicted": (example.predicted, example.for_predicted),
            "true": (example.true, example.for_true),
        }
        layers = [
            (f"{findings.class_names[int(of)]} ({which})", view.values)
            for which, (of, view) in views.items()
            if view is not None
        ]
        overlays.append(Overlay(described(example, findings), example.row, layers))
    return draw_attributions(overlays, findings.axes)


def _write(path: Path, content: bytes) -> Path:
    beside = path.with_suffix(".tmp")
    beside.write_bytes(content)
    os.replace(beside, path)
    return path
