"""Nests of arrays: an array, or a dict, list or tuple of nests, as `keras.Model.fit` takes inputs, targets and weights.

A leaf is an array whose first axis is the rows. The leaves of a dict are sorted by key, as in Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.data.rows.ragged import RaggedArray
from autotune.data.rows.windows import WindowArray

Leaf: TypeAlias = npt.NDArray[Any] | RaggedArray | WindowArray
Nest: TypeAlias = Any
"""A leaf, or a dict, list or tuple of nests."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """The inputs, targets and weights of some rows, each of them a nest; or anything else in the same structure.

    Attributes:
        x: Inputs.
        y: Targets; None for a model that makes its own loss.
        sample_weight: Weights of the rows; None for equal weights.
    """

    x: Nest
    y: Nest = None
    sample_weight: Nest = None

    def map(self, function: Callable[[Any], Any]) -> Arrays:
        """Return the structure with `function(leaf)` in place of each leaf."""
        parts = (self.x, self.y, self.sample_weight)
        return Arrays(*(None if part is None else mapped(function, part) for part in parts))

    def leaves(self) -> list[tuple[str, Any]]:
        """Return all leaves with their names, e.g. "x" or "y['mask']"."""
        parts = {"x": self.x, "y": self.y, "sample_weight": self.sample_weight}
        return [leaf for name, part in parts.items() if part is not None for leaf in leaves(part, name)]

    def at(self, rows: npt.NDArray[np.int64] | slice) -> Arrays:
        """Return the arrays of some rows."""
        return self.map(lambda leaf: leaf[rows])

    def structure(self, describe: Callable[[str, Any], Any]) -> dict[str, Any]:
        """Return the structure as values that JSON can hold, with `describe(name, leaf)` in place of each leaf.

        A dict is written as {"dict": {...}}, a list as {"list": [...]}, a tuple as {"tuple": [...]}.
        """
        parts = {"x": self.x, "y": self.y, "sample_weight": self.sample_weight}
        return {name: None if part is None else _structure(part, describe, name) for name, part in parts.items()}

    @classmethod
    def of_structure(cls, structure: Mapping[str, Any], leaf_of: Callable[[Any], Any]) -> Arrays:
        """Return the arrays of a structure, with `leaf_of(description)` in place of each description."""
        return cls(*(_of_structure(structure[name], leaf_of) for name in ("x", "y", "sample_weight")))

    def packed(self) -> tuple[Any, ...]:
        """Return (x,), (x, y) or (x, y, sample_weight), with tuples for lists: TensorFlow would stack the lists."""
        parts = (self.x, self.y, self.sample_weight)
        n = 3 if self.sample_weight is not None else 2 if self.y is not None else 1
        return tuple(_with_tuples(part) for part in parts[:n])


def leaves(nest: Nest, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a nest with their names, which begin with `name`.

    Example:
        >>> [name for name, _ in leaves({"b": 1, "a": (2, 3)}, "x")]
        ["x['a'][0]", "x['a'][1]", "x['b']"]
    """
    if isinstance(nest, Mapping):
        for key in sorted(nest):
            yield from leaves(nest[key], f"{name}[{key!r}]")
    elif isinstance(nest, (list, tuple)):
        for number, part in enumerate(nest):
            yield from leaves(part, f"{name}[{number}]")
    else:
        yield name, nest


def mapped(function: Callable[[Any], Any], nest: Nest) -> Nest:
    """Return a nest of the same structure with `function(leaf)` in place of each leaf."""
    if isinstance(nest, Mapping):
        return {key: mapped(function, part) for key, part in nest.items()}
    if isinstance(nest, (list, tuple)):
        parts = [mapped(function, part) for part in nest]
        return parts if isinstance(nest, list) else tuple(parts)
    return function(nest)


def shape_of(leaf: Leaf) -> tuple[int | None, ...]:
    """Return the shape of one row of a leaf; a length that differs from row to row is None."""
    return tuple(leaf.shape[1:])


def padded(leaf: Leaf) -> npt.NDArray[Any]:
    """Return a leaf as an array; rows of different lengths get zeros after their end."""
    return leaf.padded() if isinstance(leaf, RaggedArray) else np.asarray(leaf)


def _structure(nest: Nest, describe: Callable[[str, Any], Any], name: str) -> Any:
    if isinstance(nest, Mapping):
        return {"dict": {key: _structure(nest[key], describe, f"{name}[{key!r}]") for key in sorted(nest)}}
    if isinstance(nest, (list, tuple)):
        parts = [_structure(part, describe, f"{name}[{number}]") for number, part in enumerate(nest)]
        return {"list" if isinstance(nest, list) else "tuple": parts}
    return describe(name, nest)


def _of_structure(structure: Any, leaf_of: Callable[[Any], Any]) -> Nest:
    if structure is None:
        return None
    if "dict" in structure:
        return {key: _of_structure(part, leaf_of) for key, part in structure["dict"].items()}
    for kind, name in ((list, "list"), (tuple, "tuple")):
        if name in structure:
            return kind(_of_structure(part, leaf_of) for part in structure[name])
    return leaf_of(structure)


def _with_tuples(nest: Nest) -> Nest:
    if isinstance(nest, dict):
        return {key: _with_tuples(part) for key, part in nest.items()}
    return tuple(map(_with_tuples, nest)) if isinstance(nest, (list, tuple)) else nest
