"""Add to the examples of findings what the model looks at: the attributions of each of its inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset, RaggedArray, leaves, padded
from autotune.errors import UsageError
from autotune.failures import summary_of
from autotune.training.outputs import Example, Findings, InputRow, Reasons, most_wrong

if TYPE_CHECKING:
    import keras

    from autotune.training.inspection import Attribution

_Array: TypeAlias = npt.NDArray[Any]


def with_reasons(model: keras.Model, data: Dataset, positions: npt.NDArray[np.int64], findings: Findings) -> Findings:
    """Return findings with the attributions of their examples, or with the reason why there are none.

    Attributions are of classes, labels and single numbers; other findings stay as they are.

    Args:
        model: The model.
        data: The rows of the findings.
        positions: The positions of these among the development rows, shape (n,).
        findings: The findings about one of its outputs.
    """
    if findings.kind not in ("classes", "labels", "numbers"):
        return findings
    if len(findings.columns) > 1:
        return dataclasses.replace(findings, why_no_reasons="attributions are of one number, and a row has several.")
    examples = (*findings.right, *findings.wrong)
    places = {int(position): at for at, position in enumerate(positions)}
    chosen = np.array([places[one.position] for one in examples], np.int64)
    try:
        found, why_not = _attributed(model, data, findings, examples, chosen)
    except UsageError as error:
        return dataclasses.replace(findings, why_no_reasons=error.happened)
    except (OSError, MemoryError):
        raise  # another time it may go well
    except Exception as error:  # of the study file's own model, which is called on other rows than in `fit`
        why = f"the attributions of the model cannot be computed: {summary_of(error)}"
        return dataclasses.replace(findings, why_no_reasons=why)
    n = len(findings.right)
    return dataclasses.replace(findings, right=tuple(found[:n]), wrong=tuple(found[n:]), why_no_reasons=why_not)


def _attributed(
    model: keras.Model, data: Dataset, findings: Findings, examples: Sequence[Example], chosen: npt.NDArray[np.int64]
) -> tuple[list[Example], str]:
    """Return the examples with their attributions, and why some inputs have none."""
    from autotune.training.inspection import integrated_gradients

    if not examples:
        return [], ""
    is_wrong = [findings.kind == "classes" and int(one.true) != int(one.predicted) for one in examples]
    wrong = np.flatnonzero(is_wrong).tolist()
    asked = np.concatenate([chosen, chosen[wrong]])  # mistakes twice: why this class, and why not the true one
    targets = [_target(one, findings) for one in examples] + [int(examples[at].true) for at in wrong]
    rows = data.arrays_at(asked)
    found = integrated_gradients(
        model,
        rows.map(padded).packed()[0],
        targets,
        _baselines(data, [leaf for _, leaf in leaves(rows.x)]),
        output=findings.output,
        of="classes" if findings.kind == "classes" else "numbers",
    )
    again = {at: len(examples) + number for number, at in enumerate(wrong)}
    seen = [
        dataclasses.replace(
            one,
            inputs=tuple(_as_read(given, found, at, number) for number, given in enumerate(one.inputs)),
            for_predicted=_reasons(one, found, at),
            for_true=_reasons(one, found, again[at]) if at in again else None,
        )
        for at, one in enumerate(examples)
    ]
    return seen, _why_not(seen, found)


def _target(example: Example, findings: Findings) -> int:
    """Return the class, the label or the column of the output that attributions are for."""
    if findings.kind == "labels":
        return most_wrong(example)
    return int(example.predicted) if findings.kind == "classes" else 0


def _as_read(given: InputRow, found: Attribution, at: int, number: int) -> InputRow:
    """Return what a row gives to an input, with the words that the model reads."""
    words = found.inputs[number].words
    return dataclasses.replace(given, words=tuple(filter(None, words[at])), features=()) if words else given


def _reasons(example: Example, found: Attribution, at: int) -> Reasons:
    values = []
    for number, given in enumerate(example.inputs):
        one = found.inputs[number]
        own = None if one.values is None else one.values[at]
        if own is not None and one.words:
            own = own[[word != "" for word in one.words[at]]]
        elif own is not None and own.shape != given.row.shape:
            own = own[: len(given.row)]  # without padding
        values.append(own)
    return Reasons(tuple(values), float(found.start[at]), float(found.end[at]))


def _why_not(examples: Sequence[Example], found: Attribution) -> str:
    longest = max((len(given.row) for one in examples for given in one.inputs if _is_recording(given)), default=0)
    if longest and len(found.inputs) == 1:
        return f"a row is {longest:,} numbers without names, too many to show what each of them contributes."
    held = [
        f"{given.name!r} ({one.why_none})"
        for given, one in zip(examples[0].inputs, found.inputs, strict=True)
        if one.values is None
    ]
    return f"of the inputs {', '.join(held)}." if held else ""


def _is_recording(given: InputRow) -> bool:
    return given.row.ndim == 1 and given.row.size > 0 and not given.features and not given.words


def _baselines(data: Dataset, rows: Sequence[Any]) -> list[_Array]:
    """Return for each input a row with nothing in it, one for each of `rows`.

    This is the smallest value there is, which is black, or silence. Text has one of its own. The columns of a table
    share no scale, and nothing in them stands for nothing: there it is the mean of each. Padding stays as it is.
    """
    found: list[_Array] = []
    for number, leaf in enumerate(rows):
        own = padded(leaf)
        if own.dtype.kind not in "fiub":
            found.append(np.zeros(own.shape, np.float32))
            continue
        is_ragged = isinstance(leaf, RaggedArray)
        start = 0.0 if is_ragged and own.ndim == 2 else _mean(data, number) if own.ndim <= 2 else _lowest(data, number)
        start = np.broadcast_to(np.asarray(start, np.float32), own.shape)
        if is_ragged:
            is_padding = np.arange(own.shape[1]) >= leaf.lengths[:, np.newaxis]
            start = np.where(is_padding.reshape(*is_padding.shape, *[1] * (own.ndim - 2)), own, start)
        found.append(start)
    return found


def _mean(data: Dataset, number: int) -> _Array:
    parts = [np.asarray(_leaf(chunk.x, number), np.float64) for chunk in data.chunks()]
    total = np.sum([np.nansum(part, axis=0) for part in parts], axis=0)
    n_known = np.sum([(part == part).sum(axis=0) for part in parts], axis=0)
    mean: _Array = total / np.maximum(n_known, 1)
    return mean


def _lowest(data: Dataset, number: int) -> float:
    parts = (_leaf(chunk.x, number) for chunk in data.chunks())
    values = (part.values if isinstance(part, RaggedArray) else part for part in parts)
    return min((float(np.nanmin(one)) for one in values if (one == one).any()), default=0.0)


def _leaf(nest: Any, number: int) -> Any:
    return [leaf for _, leaf in leaves(nest)][number]
