"""The study file's `batch`: it changes each batch of training, by chance of its own.

Its chance comes from (study seed, trial, fold, epoch, batch), so that an interrupted trial sees the same batches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import keras
import numpy as np
import optuna

from autotune.errors import TrainingError

_PARTS = ("x", "y", "sample_weight")


@final
class BatchFunction:
    """Calls the study file's `batch`, and checks what it returns.

    Args:
        function: `batch(trial, batch, rng)`.
        trial: The trial; its suggestions are asked for once, because another thread reads the batches.
        seed: The function from names and numbers such as ("batch", 3, 17) to a seed in this fold.
    """

    def __init__(
        self,
        function: Callable[[optuna.Trial, Any, np.random.Generator], Any],
        trial: optuna.Trial,
        seed: Callable[..., int],
    ) -> None:
        self._function = function
        self._trial: Any = _KnownSuggestions(trial)
        self._seed = seed
        self._dtypes: list[str] | None = None
        self._shapes: dict[Any, Any] = {}  # from the shapes of rows to those of changed rows

    def __call__(self, batch: tuple[Any, ...], epoch: int, index: int) -> tuple[Any, ...]:
        """Return the batch with the number `index` of an epoch, changed.

        Raises:
            TrainingError: It has another structure than the rows, or other shapes than the first changed batch.
        """
        rng = np.random.default_rng(self._seed("batch", epoch, index))
        found = self._function(self._trial, batch, rng)
        found = tuple(found) if isinstance(found, list) else found
        if not _is_same_structure(found, batch):
            raise TrainingError(
                f"batch returned {_described(found)} in trial {self._trial.number}.",
                f"It returns a batch in the structure that it got: {_described(batch)}.",
                "Change the arrays of the batch, and return (x, y) as it was given. What needs other inputs than "
                "validation has belongs into the dataset or the model.",
            )
        found = keras.tree.map_structure(np.asarray, found)
        self._check(found, [leaf.shape[1:] for leaf in keras.tree.flatten(batch)])
        return found  # type: ignore[no-any-return]  # reason: Keras ships no types

    def _check(self, batch: tuple[Any, ...], given: list[tuple[int, ...]]) -> None:
        leaves = keras.tree.flatten(batch)
        dtypes = ["text" if leaf.dtype.kind in "US" else leaf.dtype.name for leaf in leaves]
        shapes = [leaf.shape[1:] for leaf in leaves]
        self._dtypes = self._dtypes or dtypes
        n_rows = {len(leaf) if leaf.ndim else 0 for leaf in leaves}
        is_one_length = len(n_rows) == 1 and 0 not in n_rows
        if not is_one_length or dtypes != self._dtypes or self._shapes.setdefault(tuple(given), shapes) != shapes:
            raise TrainingError(
                f"batch returned {_described(batch)} in trial {self._trial.number}, of {', '.join(dtypes)}.",
                f"All batches have the dtypes ({', '.join(self._dtypes)}) and the shapes of the first one, except for "
                "their number of rows, which is the same for x, y and weights.",
                "Keep the dtype, e.g. x.astype(batch[0].dtype), and change x, y and weights together.",
            )


class _KnownSuggestions:
    """A trial that asks for each hyperparameter once."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial
        self._known: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._trial, name)
        if not name.startswith("suggest_"):
            return attribute

        def suggest(parameter: str, *limits: Any, **how: Any) -> Any:
            if parameter not in self._known:
                self._known[parameter] = attribute(parameter, *limits, **how)
            return self._known[parameter]

        return suggest


def _is_same_structure(found: Any, batch: tuple[Any, ...]) -> bool:
    try:
        keras.tree.assert_same_structure(keras.tree.lists_to_tuples(found), batch)
    except (ValueError, TypeError):
        return False
    return isinstance(found, tuple)


def _described(batch: Any) -> str:
    if not isinstance(batch, tuple) or len(batch) > len(_PARTS):
        return type(batch).__name__
    shapes = keras.tree.map_structure(lambda leaf: np.shape(leaf), batch)
    return ", ".join(f"{name} of shape {shape}" for name, shape in zip(_PARTS, shapes, strict=False))
