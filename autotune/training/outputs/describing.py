"""What findings show, in words: metrics, what an example is, its features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.training.outputs.findings import Example, Findings, InputRow, Reasons
from autotune.training.outputs.predicting import intersection_over_union, mask_scores

MOST_FEATURES = 8
"""Of a row of a table are shown one by one."""

_MOST_LABELS = 8  # in words

COLOURS = {
    "classes": "Orange speaks for the class, blue against it (integrated gradients).",
    "labels": "Orange speaks for the label that it is most wrong about, blue against it (integrated gradients).",
    "numbers": "Orange raises the predicted number, blue lowers it (integrated gradients).",
}
"""What the two colours of attributions mean, by kind of findings."""


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
        has, said = (_listed(np.array(names)[which].tolist()) for which in (true > 0, predicted > 0.5))
        return f"has {has}; found {said}; most wrong about {names[most_wrong(example)]}"
    if findings.kind == "mask":
        score = mask_scores(true[np.newaxis], predicted[np.newaxis], len(names))[0]
        return f"IoU {score:.2f}"
    if findings.kind == "numbers" and true.size <= MOST_FEATURES:
        return f"{as_text(true)} predicted as {as_text(predicted)}"
    return f"mean absolute error {np.abs(np.subtract(true, predicted, dtype=np.float64)).mean():.4g}"


def _listed(labels: Sequence[str]) -> str:
    others = [f"{len(labels) - _MOST_LABELS} others"] if len(labels) > _MOST_LABELS else []
    return ", ".join([*labels[:_MOST_LABELS], *others]) or "nothing"


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
        counts = list(zip(findings.class_names, findings.confusion.tolist(), strict=True))
        for name, (found_rows, missed, false) in counts[:_MOST_LABELS]:
            lines.append(f"{name}: {found_rows:,} of {found_rows + missed:,} rows found, {false:,} false.")
        if len(counts) > _MOST_LABELS:
            lines.append(f"{len(counts) - _MOST_LABELS} other labels are in the picture.")
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
    """Return the features of a row in one line, those that contribute most first.

    It is "" for a row without features, and for many features if none is known to matter more than the others.
    """
    reasons = example.for_predicted
    found = features_of(example, reasons)
    if reasons is None and len(found) > MOST_FEATURES:
        return ""
    shown = [
        f"{name} = {value}{'' if reasons is None else f' ({share:+.2f})'}"
        for name, value, share in found[:MOST_FEATURES]
    ]
    others = f", and {len(found) - MOST_FEATURES} others" if len(found) > MOST_FEATURES else ""
    return ", ".join(shown) + others


def _is_table(given: InputRow) -> bool:
    return bool(given.features) or (given.row.ndim == 0 and bool(given.name) and len(given.words) <= 1)


def _cell(value: Any) -> str:
    if isinstance(value, (str, bytes)):  # a missing word is empty
        return (value if isinstance(value, str) else value.decode("utf-8", "replace")) or "missing"
    return "missing" if value != value else f"{value:.4g}"


def as_text(values: npt.NDArray[Any]) -> str:
    """Return a few numbers with four digits each."""
    return ", ".join(f"{value:.4g}" for value in values.ravel())
