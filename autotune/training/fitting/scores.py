"""Scores that Keras does not compute: the study file's `score`, called after each epoch on the validation rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import keras
import numpy as np

from autotune.data.rows import Dataset
from autotune.errors import TrainingError
from autotune.failures import summary_of


@final
class Scores(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    """Adds the scores to the metrics of an epoch, before other callbacks see them.

    They are computed when Keras has validated, with the weights that it validated.

    Args:
        function: `score(model, rows)`, which returns a dict from names to numbers.
        rows: The validation rows.
        validates: Whether Keras validates too.
    """

    def __init__(
        self, function: Callable[[keras.Model, Dataset], Mapping[str, Any]], rows: Dataset, validates: bool
    ) -> None:
        super().__init__()
        self._function = function
        self._rows = rows
        self._validates = validates
        self._found: dict[str, float] = {}

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        self._found = scores_of(self._function, self.model, self._rows)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self._validates:
            self._found = scores_of(self._function, self.model, self._rows)
        if logs is not None:
            logs.update(self._found)


def scores_of(
    function: Callable[[keras.Model, Dataset], Mapping[str, Any]], model: keras.Model, rows: Dataset
) -> dict[str, float]:
    """Return the scores of a model on some rows.

    Raises:
        TrainingError: The function returns something else than a dict from names to numbers.
    """
    found = function(model, rows)
    is_dict = isinstance(found, Mapping)
    wrong = [name for name, value in found.items() if not _is_number(name, value)] if is_dict else []
    if not is_dict or wrong:
        raise TrainingError(
            f"score returned {f'{found[wrong[0]]!r} for {wrong[0]!r}' if is_dict else repr(found)[:80]}.",
            "It returns a dict from the names of the scores to numbers.",
            'Return, for example, {"macro_f1": 0.8}.',
        )
    return {name: float(np.reshape(value, ())) for name, value in found.items()}


def check_scores(
    function: Callable[[keras.Model, Dataset], Mapping[str, Any]], model: keras.Model, rows: Dataset
) -> dict[str, float]:
    """Call `score` on a few rows before the first trial, and return the scores.

    Raises:
        TrainingError: It stops with an error, or returns something else than numbers.
    """
    try:
        return scores_of(function, model, rows)
    except TrainingError:
        raise
    except Exception as error:
        raise TrainingError(
            f"score stopped with {summary_of(error)} on {len(rows)} rows.",
            "It gets the model and the validation rows after each epoch, and returns a dict of numbers.",
            "Call it yourself with a model and a few rows to see the whole traceback, and correct it.",
        ) from error


def _is_number(name: object, value: Any) -> bool:
    try:
        return isinstance(name, str) and np.size(value) == 1 and np.asarray(value).dtype.kind in "iufb"
    except Exception:
        return False
