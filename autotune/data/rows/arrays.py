"""Read what a user gives as inputs, targets and weights: an array, a data frame, or a dict, list or tuple of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autotune.data.rows.checks import check_arrays
from autotune.data.rows.frames import column_of, columns_of, is_column, is_frame
from autotune.data.rows.leaf import read_leaf
from autotune.data.rows.nests import Arrays, Nest
from autotune.data.rows.ragged import RaggedArray
from autotune.data.rows.windows import WindowArray
from autotune.errors import DataError


def read_arrays(x: object, y: object, sample_weight: object, groups: object = None) -> Arrays:
    """Read inputs, targets and weights, each an array or a nest of arrays, and check that they can be used.

    Arrays stay as they are, mapped ones too. A data frame becomes a dict of its columns. A list of arrays is a list of
    inputs, as in Keras, if these have one row for each example; otherwise it is a list of rows, one array for each.

    Raises:
        DataError: The numbers of rows differ, or there are values that no network reads.
    """
    given = {"x": x, "y": y, "sample_weight": sample_weight, "groups": groups}
    n = _count_rows([part for part in given.values() if part is not None])
    parts = {name: None if part is None else _read(name, part, n) for name, part in given.items() if name != "groups"}
    found = Arrays(parts["x"], parts["y"], parts["sample_weight"])
    if found.x is None:
        raise DataError("x is None.", "x holds the inputs: arrays with one row for each example.", "Give x.")
    check_arrays(found)
    return found


def _count_rows(parts: Sequence[object]) -> int | None:
    """Return the number of rows that all parts can be read with; None if there is none."""
    first, *others = [_possible(part) for part in parts]
    return next((n for n in first if all(n in other for other in others)), None)


def _possible(part: Any) -> list[int]:
    """Return the numbers of rows that a nest can be read with, the likeliest first."""
    if isinstance(part, Mapping) or _is_list_of_arrays(part):
        inner = [_possible(one) for one in (part.values() if isinstance(part, Mapping) else part)]
        shared = [n for n in inner[0] if all(n in other for other in inner[1:])] if inner else []
        if isinstance(part, Mapping) or not _is_rows(part):
            return shared
        # No model has more inputs than there are rows: then each array is a row.
        return sorted([*shared, len(part)], reverse=True) if shared else [len(part)]
    try:
        return [len(part)]
    except TypeError:  # a number, or a tensor without axes
        return []


def _is_list_of_arrays(part: Any) -> bool:
    return isinstance(part, (list, tuple)) and len(part) > 0 and all(_is_nest(one) for one in part)


def _is_nest(part: Any) -> bool:
    is_array = len(getattr(part, "shape", ()) or ()) > 0
    return is_array or isinstance(part, Mapping) or is_frame(part) or _is_list_of_arrays(part)


def _is_rows(part: Sequence[Any]) -> bool:
    """Tell whether the parts of a list may be rows: arrays, and no nests."""
    return all(
        hasattr(one, "shape") and not is_frame(one) and not isinstance(one, (RaggedArray, WindowArray)) for one in part
    )


def _read(name: str, part: Any, n: int | None) -> Nest:
    if part is None:
        raise DataError(f"{name} is None.", "Every part of a nest is an array.", f"Leave {name} out.")
    if isinstance(part, (RaggedArray, WindowArray)):
        return part
    if is_frame(part):
        return columns_of(name, part)
    if is_column(part):
        return column_of(name, part)
    if isinstance(part, Mapping):
        if odd := [key for key in part if not isinstance(key, str)] or ([] if part else ["{}"]):
            raise DataError(
                f"{name} is a dict with the key {odd[0]!r}." if part else f"{name} is an empty dict.",
                "The keys of a dict of arrays are the names of inputs or outputs.",
                'Write, for example, {"image": images, "text": texts}.',
            )
        return {key: _read(f"{name}[{key!r}]", one, n) for key, one in part.items()}
    if _is_list_of_arrays(part) and not (_is_rows(part) and _are_rows(part, n)):
        read = [_read(f"{name}[{number}]", one, n) for number, one in enumerate(part)]
        return read if isinstance(part, list) else tuple(read)
    return read_leaf(name, part)


def _are_rows(part: Sequence[Any], n: int | None) -> bool:
    """Tell whether a list of arrays, which might be several inputs or the rows of one, is the latter."""
    lengths = {len(one) for one in part}
    return lengths != {n} and n == len(part) if n is not None else len(lengths) > 1
