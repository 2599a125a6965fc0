"""The `Findings` about one output of a model, with single rows as examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.training.outputs.comparing import Kind

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reasons:
    """The attributions of a row for one class, or for a predicted number, by integrated gradients.

    Attributes:
        values: For each input of the row its attributions, in the input's shape; for text one for each word. A value
            above 0 speaks for the class, or raises the number. None for an input that has no attributions.
        start: The model's output for an empty row.
        end: The same for the row.
    """

    values: tuple[_Floats | None, ...]
    start: float
    end: float

    @property
    def gap(self) -> float:
        """The error of the values' sum, from the quadrature; without it the axiom of completeness gives 0."""
        return float(sum(one.sum() for one in self.values if one is not None)) - (self.end - self.start)


@dataclass(frozen=True, eq=False)
class InputRow:
    """What one row gives to one input of the model.

    Attributes:
        name: The name of the input; "" for the only one.
        row: The row without padding; shape () for a text or a single value.
        words: The words of a text as the model reads them, without padding; none for numbers.
        features: The names of its columns, if it is a row of a table; else none. Columns without names are numbered,
            but of a long row, such as a recording.
    """

    name: str
    row: _Array
    words: tuple[str, ...] = ()
    features: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Example:
    """One row, with its prediction and attributions.

    Attributes:
        position: Its position among the development rows.
        true: Its target: a class or a number, shape (); several numbers, (columns,); (steps, columns) of a forecast; a
            mask, -1 where it is ignored; or an image.
        predicted: What is predicted, in the same shape.
        probability: How sure the model is of a predicted class; None for others.
        inputs: What the row gives to each input of the model.
        for_predicted: What speaks for the predicted class; None if that is not known.
        for_true: For a mistake, what speaks for the true class.
    """

    position: int
    true: _Array
    predicted: _Array
    probability: float | None
    inputs: tuple[InputRow, ...]
    for_predicted: Reasons | None = None
    for_true: Reasons | None = None


@dataclass(frozen=True, eq=False)
class Findings:
    """The findings about one output of a model on rows that it was not trained on.

    Attributes:
        output: The name of the output; "" for the only one.
        kind: What it predicts, as in `Compared`; "nothing" if it cannot be compared with targets.
        n_rows: How many rows these are.
        class_names: What the classes, or the labels, are called; none for numbers.
        axes: What the two axes of a spectrogram are, time first; None for other rows.
        confusion: How often each true class (rows) is taken for each class (columns), int64: counts of rows, of the
            pixels of masks, or of the steps of sequences. For several labels the counts of `counts_of_labels`. None for
            numbers.
        right: A few typical rows: correct ones, or for masks and forecasts the median and the best.
        wrong: The mistakes that it is surest of, the largest errors or the worst masks, the worst first.
        columns: Which columns of numbers are kept: those that vary most; none for others.
        true: The numbers to be predicted, shape (m, len(columns)), of at most 2,000 rows; None for others.
        predicted: What they are predicted to be, likewise.
        errors: The mean absolute error of each step of a forecast, shape (steps,); None for others.
        metrics: The metrics that the model was compiled with, by name.
        why_nothing: For "nothing" the reason, a sentence; else "".
        why_no_reasons: Why it is not known what the model looks at; "" if it is known, or has no meaning.
    """

    output: str
    kind: Kind
    n_rows: int
    class_names: tuple[str, ...] = ()
    axes: tuple[str, str] | None = None
    confusion: npt.NDArray[np.int64] | None = None
    right: tuple[Example, ...] = ()
    wrong: tuple[Example, ...] = ()
    columns: tuple[int, ...] = ()
    true: _Floats | None = None
    predicted: _Floats | None = None
    errors: _Floats | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    why_nothing: str = ""
    why_no_reasons: str = ""

    @property
    def n_right(self) -> int:
        """Of how many rows, pixels or steps the class is predicted; 0 if there are no classes."""
        return 0 if self.confusion is None or self.kind == "labels" else int(self.confusion.trace())

    @property
    def counted(self) -> str:
        """What the confusion matrix counts: "rows"; of masks "pixels", of sequences of classes "steps"."""
        if self.kind != "mask":
            return "rows"
        return "steps" if self.is_sequence else "pixels"

    @property
    def is_sequence(self) -> bool:
        """Whether a class is predicted for each step of a sequence; the other masks are those of images."""
        return self.kind == "mask" and all(one.true.ndim == 1 for one in self.wrong)

    @property
    def worst(self) -> str:
        """What the rows in `wrong` are, e.g. "The largest errors"."""
        if self.kind == "mask":
            return "The worst sequences" if self.is_sequence else "The worst masks"
        return "The mistakes that it is surest of" if self.kind in ("classes", "labels") else "The largest errors"

    def confused(self) -> list[tuple[int, int, int]]:
        """Return (true class, class it is taken for, how often) for all that is taken for another, most often first."""
        if self.confusion is None or self.kind == "labels":
            return []
        pairs = [
            (int(true), int(taken), int(self.confusion[true, taken])) for true, taken in np.argwhere(self.confusion)
        ]
        return sorted((pair for pair in pairs if pair[0] != pair[1]), key=lambda pair: -pair[2])
