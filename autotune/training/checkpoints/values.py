"""Conversion of Python values to JSON and arrays for a checkpoint, and back without loss of value or type.

What is covered: numbers, text, bytes, arrays, tensors, the containers of Python and `collections`, random generators,
dates, paths and other small types of Python. A list or dict that occurs twice is one object again afterwards.
What is not covered: any other type, for which `pack` raises an error. Pickle is not used, because a pickled object can
run code and a checkpoint may come from an artifact store.
"""

from __future__ import annotations

import datetime
import json
import pathlib
import random
import sys
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

_REGISTERED = 2  # `dtype.isbuiltin` of types like bfloat16, which an `.npz` file would turn into raw bytes

_PATHS = (pathlib.PosixPath, pathlib.WindowsPath, pathlib.PurePosixPath, pathlib.PureWindowsPath)
_BITS = (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
_FACTORIES = (int, float, complex, bool, str, bytes, list, tuple, dict, set, frozenset, deque, Counter, OrderedDict)
_DICTS: tuple[type, ...] = (dict, OrderedDict, Counter, defaultdict)
_SEQUENCES: tuple[type, ...] = (list, tuple, set, frozenset, deque)
_IN_WORDS: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    bytes: (bytes.hex, bytes.fromhex),
    bytearray: (bytearray.hex, bytearray.fromhex),
    complex: (repr, complex),
    range: (lambda one: [one.start, one.stop, one.step], lambda known: range(*known)),
    Decimal: (str, Decimal),
    Fraction: (str, Fraction),
    uuid.UUID: (str, uuid.UUID),
    datetime.datetime: (datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    datetime.date: (datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: (datetime.time.isoformat, datetime.time.fromisoformat),
    datetime.timedelta: (lambda one: [one.days, one.seconds, one.microseconds], lambda k: datetime.timedelta(*k)),
    **{path: (str, path) for path in _PATHS},
}
_BY_NAME = {kind.__name__: kind for kind in (*_IN_WORDS, *_DICTS, *_SEQUENCES, *_FACTORIES, *_BITS)}

Arrays: TypeAlias = dict[int, tuple[int, npt.NDArray[Any]]]  # from the `id` of the value to its position and array


class UnkeptError(Exception):
    """A checkpoint cannot hold a value; the text is the path to it in Python's notation, e.g. "['seen'][3]".

    Args:
        at: The path.
        value: The value.
    """

    def __init__(self, at: str, value: Any) -> None:
        super().__init__(at)
        self.value = value


@dataclass(frozen=True)
class Attributes:
    """The attributes of an object that `fit` creates in every process, to be set on it when the trial is resumed.

    Attributes:
        of: The qualified name of its class.
        items: Its attributes by name.
    """

    of: str
    items: dict[str, Any]


@dataclass
class Packing:
    """The values that were packed so far.

    Attributes:
        arrays: The arrays that the JSON refers to.
        known: The mutable values, by `id`: the number of each, and the value itself, so that it stays alive.
    """

    arrays: Arrays = field(default_factory=dict)
    known: dict[int, tuple[int, Any]] = field(default_factory=dict)


@dataclass
class Unpacking:
    """The values that were unpacked so far.

    Attributes:
        archive: The arrays by name: "array_0" and so on.
        arrays: The arrays that were read, by position.
        known: The mutable values, in the order in which they were found.
    """

    archive: Any
    arrays: dict[int, Any] = field(default_factory=dict)
    known: list[Any] = field(default_factory=list)


def is_plain(value: Any) -> bool:
    """Tell whether a checkpoint can hold `value`."""
    try:
        pack(value, Packing())
    except UnkeptError:
        return False
    return True


def fingerprint(value: Any) -> str:
    """Return a text that identifies a value; different values that a checkpoint can hold have different texts."""
    packing = Packing()
    text = json.dumps(pack(value, packing))
    return text + "".join(f"{array.dtype.str}{array.shape}{array.tobytes()!r}" for _, array in packing.arrays.values())


def pack(value: Any, packing: Packing, at: str = "") -> Any:
    """Turn `value` into JSON that refers to arrays by position; NumPy numbers keep their dtype that way.

    An array that occurs twice is written once, e.g. the weights if the last epoch is the best one.

    Args:
        value: The value.
        packing: The values that were packed before it; it is updated.
        at: The path to the value, for errors.

    Raises:
        UnkeptError: If the value, or a value in it, has a type that cannot be restored.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return _packed_array(value, packing, at)
    if kind in _DICTS or kind in _SEQUENCES:
        return _packed_container(value, packing, at)
    if kind in _IN_WORDS and _is_simple(value):
        return {"kind": kind.__name__, "words": _IN_WORDS[kind][0](value)}
    if kind is Attributes:
        return {"kind": "object", "of": value.of, "items": _packed_items(value.items, packing, at)}
    if (state := _random_state(value)) is not None:
        return _once(value, packing) or {"kind": kind.__name__, "state": [pack(one, packing, at) for one in state]}
    if _is_tensor(value):
        return {"kind": "tensor", "of": pack(value.numpy(), packing, at)}
    raise UnkeptError(at, value)


def unpack(value: Any, unpacking: Unpacking) -> Any:
    """Return the value that `pack` has converted.

    Raises:
        KeyError: If this version does not know the kind of the value.
    """
    if isinstance(value, list):
        return [unpack(item, unpacking) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value["kind"]
    if kind == "same":
        return unpacking.known[value["as"]]
    if kind in {"array", "scalar"}:
        return _unpacked_array(value, unpacking)
    if kind == "object":
        return Attributes(value["of"], {name: unpack(item, unpacking) for name, item in value["items"].items()})
    if kind == "tensor":
        return _tensor(unpack(value["of"], unpacking))
    if "state" in value:
        return _unpacked_generator(kind, value["state"], unpacking)
    if "words" in value:
        return _IN_WORDS[_BY_NAME[kind]][1](value["words"])
    return _unpacked_container(value, _BY_NAME[kind], unpacking)


def _packed_container(value: Any, packing: Packing, at: str) -> Any:
    kind = type(value)
    if kind not in (tuple, frozenset) and (again := _once(value, packing)):
        return again
    packed: dict[str, Any] = {"kind": kind.__name__}
    if kind is deque:
        packed["maxlen"] = value.maxlen
    if kind is defaultdict and value.default_factory is not None:
        if value.default_factory not in _FACTORIES:
            raise UnkeptError(f"{at}.default_factory", value.default_factory)
        packed["factory"] = value.default_factory.__name__
    if kind in _SEQUENCES:
        packed["items"] = [pack(item, packing, f"{at}[{number}]") for number, item in enumerate(value)]
    elif all(type(key) is str for key in value):
        packed["items"] = _packed_items(value, packing, at)
    else:
        packed["pairs"] = [[pack(one, packing, f"{at}[{key!r}]") for one in (key, value[key])] for key in value]
    return packed


def _packed_items(items: dict[str, Any], packing: Packing, at: str) -> dict[str, Any]:
    return {key: pack(item, packing, f"{at}[{key!r}]") for key, item in items.items()}


def _unpacked_container(value: dict[str, Any], kind: type, unpacking: Unpacking) -> Any:
    if kind in (tuple, frozenset):
        return kind(unpack(item, unpacking) for item in value["items"])
    made = _empty(value, kind)
    unpacking.known.append(made)  # before its items, because it may contain itself
    if kind in _DICTS:
        pairs = value["items"].items() if "items" in value else value["pairs"]
        for key, item in pairs:
            made[unpack(key, unpacking)] = unpack(item, unpacking)
        return made
    for item in value["items"]:
        (made.add if kind is set else made.append)(unpack(item, unpacking))
    return made


def _empty(value: dict[str, Any], kind: type) -> Any:
    if kind is deque:
        return deque(maxlen=value["maxlen"])
    if kind is defaultdict:
        return defaultdict(_BY_NAME[value["factory"]] if "factory" in value else None)
    return kind()


def _once(value: Any, packing: Packing) -> dict[str, Any] | None:
    """Return a reference to a value that was packed before; None if it is new."""
    if id(value) in packing.known:
        return {"kind": "same", "as": packing.known[id(value)][0]}
    packing.known[id(value)] = (len(packing.known), value)
    return None


def _packed_array(value: Any, packing: Packing, at: str) -> dict[str, Any]:
    array = np.asarray(value)
    is_exact = type(value) is np.ndarray or isinstance(value, np.generic)
    is_registered = array.dtype.isbuiltin == _REGISTERED
    if not is_exact or array.dtype.hasobject or array.dtype.kind not in "biufcUSmMV":
        raise UnkeptError(at, value)
    packed: dict[str, Any] = {"kind": "array" if isinstance(value, np.ndarray) else "scalar"}
    if is_registered:
        packed["dtype"] = array.dtype.name
        array = array.view(f"u{array.itemsize}")
    packed["at"], _ = packing.arrays.setdefault(id(value), (len(packing.arrays), array))
    return packed


def _unpacked_array(value: dict[str, Any], unpacking: Unpacking) -> Any:
    at = value["at"]
    if at not in unpacking.arrays:
        array = unpacking.archive[f"array_{at}"]
        unpacking.arrays[at] = array.view(np.dtype(value["dtype"])) if "dtype" in value else array
    return unpacking.arrays[at] if value["kind"] == "array" else unpacking.arrays[at][()]


def _is_simple(value: Any) -> bool:
    """Tell whether the ISO text of a date or a time holds all of its state."""
    zone = getattr(value, "tzinfo", None)
    return (zone is None or type(zone) is datetime.timezone) and not getattr(value, "fold", 0)


def _random_state(value: Any) -> list[Any] | None:
    if type(value) is np.random.Generator and type(value.bit_generator) in _BITS:
        return [type(value.bit_generator).__name__, value.bit_generator.state]
    if type(value) is np.random.RandomState and value.get_state(legacy=False)["bit_generator"] == "MT19937":
        return list(value.get_state())
    return list(value.getstate()) if type(value) is random.Random else None


def _unpacked_generator(kind: str, state: list[Any], unpacking: Unpacking) -> Any:
    number = len(unpacking.known)
    unpacking.known.append(None)
    known = [unpack(one, unpacking) for one in state]
    made: Any
    if kind == "Generator":
        made = np.random.Generator(_BY_NAME[known[0]]())
        made.bit_generator.state = known[1]
    elif kind == "RandomState":
        made = np.random.RandomState()
        made.set_state(tuple(known))
    else:
        made = random.Random()
        made.setstate(tuple(known))
    unpacking.known[number] = made
    return made


def _is_tensor(value: Any) -> bool:
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(value, tensorflow.Tensor) and hasattr(value, "numpy")


def _tensor(value: Any) -> Any:
    import tensorflow as tf  # a trial process has imported it; a process that only reads histories may not have

    return tf.convert_to_tensor(value)
