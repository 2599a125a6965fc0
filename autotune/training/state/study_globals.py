"""The values at the top level of a study file that its functions change: a list, a counter, a random generator.

What is covered: values that a checkpoint can hold, in the modules of `build`, `fit`, `batch` and `score`.
What is not covered: large values, which are data; other objects; modules that these functions only import from.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from autotune.training.checkpoints import fingerprint, is_plain

_MOST = 10_000  # characters, numbers and items of a value; larger ones are data, and comparing them would take long


class StudyGlobals:
    """Notices which values have changed since a trial began.

    Args:
        functions: The functions of the study file; None for those that it does not have.
    """

    def __init__(self, functions: Iterable[Callable[..., Any] | None]) -> None:
        self._modules = {str(one.get("__name__")): one for one in map(_globals_of, functions) if one}
        self._begun = self._marks()

    def changed(self) -> dict[str, Any]:
        """Return a copy of each value that has changed, by its module and name."""
        names = [name for name, mark in self._marks().items() if self._begun.get(name) != mark]
        return copy.deepcopy({f"{module}\n{name}": self._modules[module][name] for module, name in names})

    def put_back(self, values: Mapping[str, Any]) -> None:
        """Restore what `changed` has returned; a checkpoint from elsewhere replaces no function and no class."""
        for key, value in values.items():
            module, _, name = key.partition("\n")
            there = self._modules.get(module)
            if there is not None and not name.startswith("__") and is_plain(there.get(name)):
                there[name] = value

    def _marks(self) -> dict[tuple[str, str], str]:
        return {
            (module, name): fingerprint(value)
            for module, values in self._modules.items()
            for name, value in list(values.items())
            if not name.startswith("__") and _is_small(value) and is_plain(value)
        }


def _globals_of(function: Callable[..., Any] | None) -> dict[str, Any] | None:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__globals__", None)


def _is_small(value: Any) -> bool:
    size, left = 0, [value]
    while left and size <= _MOST:
        one = left.pop()
        size += one.size if isinstance(one, np.ndarray) else len(one) if isinstance(one, (str, bytes)) else 1
        if isinstance(one, dict):
            left += [*one, *one.values()][:_MOST]
        elif isinstance(one, (list, tuple, set, frozenset)):
            left += [*one][:_MOST]
    return size <= _MOST
