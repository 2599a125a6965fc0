"""A checkpoint comes back as it was written, or not at all."""

from __future__ import annotations

import dataclasses
import math
import os
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from autotune.training.checkpoints.checkpoint import (
    Checkpoint,
    FoldScore,
    UnusableCheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from autotune.training.checkpoints.values import Packing, UnkeptError, Unpacking, is_plain, pack, unpack

CALLBACK = {
    "wait": 2,
    "best": np.float32(0.1),
    "baseline": None,
    "monitor": "val_löss",
    "stopped": False,
    "rates": (0.1, (1, "two"), [None, True]),
    "nested": {"kind": "array", "at": 0, "inner": {"items": [1, {"deep": (np.int16(3),)}]}, "empty": {}},
    "worst": math.inf,
    "lowest": -math.inf,
    "large": 2**70,
    "weights": [np.arange(6, dtype=np.float16).reshape(2, 3), np.array(5), np.array([], dtype=np.int32)],
    "flag": np.True_,
    "names": np.array(["a", "längst"]),
    "word": np.str_("word"),
    "nothing": [],
    "no_shape": (),
}


def checkpoint(**changes: Any) -> Checkpoint:
    whole = Checkpoint(
        identity="trial 3",
        finished=(
            FoldScore(0.75, 2, {"loss": [1.5, 0.5], "val_accuracy": [0.5, 0.75]}, 7),
            FoldScore(0.25, 1, {"loss": [2.0]}, 9),
        ),
        history={"loss": [1.0, 0.1, 1e-300], "val_accuracy": [0.3, 0.1 + 0.2, 0.5]},
        best_epoch=3,
        stopped=True,
        callbacks=[CALLBACK, {}],
        variables=[np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32), np.array(7, dtype=np.int64)],
        best_weights=[np.zeros((0, 3), dtype=np.float32), np.array([np.nan, np.inf, -0.0])],
    )
    return dataclasses.replace(whole, **changes)


def assert_same(found: Any, expected: Any) -> None:
    """Compare values, types, dtypes and shapes, all the way down; NaN equals NaN."""
    assert type(found) is type(expected)
    if dataclasses.is_dataclass(expected):
        assert_same(vars(found), vars(expected))
    elif isinstance(expected, dict):
        assert [(type(key), key) for key in found] == [(type(key), key) for key in expected]
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, (list, tuple, deque)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, (np.ndarray, np.generic)):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
    else:
        assert found == expected or (expected != expected and found != found)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trials" / "00003" / "checkpoint" / "state"


def test_a_checkpoint_comes_back_as_it_was_written(path: Path) -> None:
    save_checkpoint(checkpoint(), path)
    assert_same(load_checkpoint(path, "trial 3"), checkpoint())


@pytest.mark.parametrize("value", [math.nan, -0.0, 5e-324, 0.1, np.float64("nan"), np.complex64(1j), np.uint8(255)])
def test_every_number_keeps_its_type_and_its_last_bit(value: Any, path: Path) -> None:
    save_checkpoint(checkpoint(callbacks=[{"value": value}]), path)
    loaded = load_checkpoint(path, "trial 3")
    assert loaded is not None
    assert_same(loaded.callbacks[0]["value"], value)
    assert math.copysign(1, loaded.callbacks[0]["value"].real) == math.copysign(1, value.real)


@pytest.mark.trains
def test_variables_in_bfloat16_keep_their_dtype(path: Path) -> None:
    import tensorflow as tf

    weights = np.array([[1.5, -2.0]], dtype=tf.bfloat16.as_numpy_dtype)
    assert is_plain(weights)
    save_checkpoint(checkpoint(variables=[weights], best_weights=[weights]), path)
    loaded = load_checkpoint(path, "trial 3")
    assert loaded is not None
    assert_same(loaded.variables, [weights])


def test_the_arrays_of_a_loaded_checkpoint_can_be_written_to(path: Path) -> None:
    save_checkpoint(checkpoint(), path)
    loaded = load_checkpoint(path, "trial 3")
    assert loaded is not None
    loaded.variables[0] += 1


def test_a_new_checkpoint_replaces_the_old_one(path: Path) -> None:
    save_checkpoint(checkpoint(), path)
    save_checkpoint(checkpoint(best_epoch=9), path)
    loaded = load_checkpoint(path, "trial 3")
    assert loaded is not None
    assert loaded.best_epoch == 9
    assert os.listdir(path.parent) == ["state"]


def test_epochs_are_those_that_the_history_has() -> None:
    assert checkpoint().epochs == 3
    assert checkpoint(history={}).epochs == 0


def test_a_finished_fold_is_further_than_any_epoch_of_the_fold_before() -> None:
    assert checkpoint(history={}).progress > checkpoint(finished=checkpoint().finished[:1]).progress


def test_no_checkpoint_is_none(path: Path) -> None:
    assert load_checkpoint(path, "trial 3") is None


@pytest.mark.parametrize("kept", [0, 1, 31, 32, 33, 0.5, -1])
def test_a_torn_checkpoint_is_not_used(kept: float, path: Path) -> None:
    save_checkpoint(checkpoint(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))] if isinstance(kept, float) else whole[:kept])
    with pytest.raises(UnusableCheckpointError, match="is damaged"):
        load_checkpoint(path, "trial 3")


@pytest.mark.parametrize("place", [0.0, 0.01, 0.3, 0.6, 0.999])
def test_a_checkpoint_with_one_flipped_bit_is_not_used(place: float, path: Path) -> None:
    save_checkpoint(checkpoint(), path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnusableCheckpointError, match="is damaged"):
        load_checkpoint(path, "trial 3")


def test_the_checkpoint_of_another_trial_is_not_used(path: Path) -> None:
    save_checkpoint(checkpoint(), path)
    with pytest.raises(UnusableCheckpointError, match="is of another trial"):
        load_checkpoint(path, "trial 4")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_checkpoint_and_no_other_file(
    step: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    save_checkpoint(checkpoint(), path)
    with monkeypatch.context() as broken:
        broken.setattr(os, step, fail)
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(checkpoint(best_epoch=9), path)
    assert os.listdir(path.parent) == ["state"]
    assert_same(load_checkpoint(path, "trial 3"), checkpoint())


def test_a_process_killed_before_the_move_leaves_the_old_checkpoint(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new content is complete and on the disk before it takes the old one's place."""
    seen = []
    replace = os.replace
    save_checkpoint(checkpoint(), path)

    def look(source: Path, target: Path) -> None:
        seen.append((load_checkpoint(Path(source), "trial 3"), load_checkpoint(Path(target), "trial 3")))
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    save_checkpoint(checkpoint(best_epoch=9), path)
    ((new, old),) = seen
    assert_same(new, checkpoint(best_epoch=9))
    assert_same(old, checkpoint())


@pytest.mark.parametrize("value", [*CALLBACK.values(), CALLBACK, math.nan], ids=lambda value: repr(value)[:30])
def test_numbers_text_arrays_and_containers_of_those_are_plain(value: Any) -> None:
    assert is_plain(value)


EXACT = [
    b"\0bytes",
    bytearray(b"more"),
    1j,
    complex("-0-infj"),
    {1: "one", 2.0: "two", (3, "x"): [4], None: 5, False: 6, b"k": 7, frozenset({1}): 8},
    OrderedDict([("b", 1), ("a", {2: 3})]),
    Counter({"a": 3, 2: -1}),
    defaultdict(int, {"a": 1}),
    defaultdict(list, {1: [2]}),
    defaultdict(None, {"a": 1}),
    deque([1, [2]], maxlen=3),
    deque(),
    {1, "two", (3,)},
    set(),
    frozenset({1, 2}),
    range(2, 9, 3),
    Path("a/b"),
    PureWindowsPath("c:/d"),
    Decimal("0.10"),
    Fraction(1, 3),
    uuid.UUID(int=5),
    datetime(2026, 1, 2, 3, 4, 5, 6, timezone.utc),
    date(2026, 1, 2),
    timedelta(days=-1, microseconds=7),
    np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"),
    np.timedelta64(3, "s"),
    np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
    [{"deep": deque([{4: {5}}])}],
]


@pytest.mark.parametrize("value", EXACT, ids=lambda value: type(value).__name__)  # a set is shown in any order
def test_what_callbacks_hold_comes_back_with_its_type(value: Any, path: Path) -> None:
    save_checkpoint(checkpoint(callbacks=[{"value": value}]), path)
    loaded = load_checkpoint(path, "trial 3")
    assert loaded is not None
    found = loaded.callbacks[0]["value"]
    assert_same(found, value)
    assert getattr(found, "default_factory", None) is getattr(value, "default_factory", None)
    assert getattr(found, "maxlen", None) == getattr(value, "maxlen", None)


@pytest.mark.parametrize(
    "rng", [np.random.default_rng(1), np.random.Generator(np.random.MT19937(1)), np.random.RandomState(1)]
)
def test_a_random_generator_goes_on_where_it_was(rng: Any, path: Path) -> None:
    rng.normal(size=3)
    save_checkpoint(checkpoint(callbacks=[{"rng": rng, "other": Random(3), "list": [1]}]), path)
    loaded = load_checkpoint(path, "trial 3")
    assert loaded is not None
    assert loaded.callbacks[0]["rng"].normal() == rng.normal()
    assert loaded.callbacks[0]["other"].random() == Random(3).random()
    assert loaded.callbacks[0]["list"] == [1]


def test_what_is_there_twice_comes_back_as_one(path: Path) -> None:
    shared: list[Any] = [1]
    shared.append(shared)
    array, rng = np.arange(3), np.random.default_rng(0)
    first = {"a": shared, "b": {"c": shared}, "array": array, "rng": rng}
    save_checkpoint(checkpoint(callbacks=[first, {"d": shared, "array": array, "rng": rng}]), path)
    loaded = load_checkpoint(path, "trial 3")
    assert loaded is not None
    one, other = loaded.callbacks
    assert one["a"] is one["b"]["c"] is one["a"][1] is other["d"]
    assert one["array"] is other["array"]
    assert one["rng"] is other["rng"]


def test_a_checkpoint_of_the_version_before_is_read(path: Path) -> None:
    """It had lists, tuples and dicts with texts as keys, numbers and arrays, as they are written now."""
    fields = {"kind": "dict", "items": {"a": {"kind": "tuple", "items": [1, {"kind": "scalar", "at": 0}]}}}
    arrays = {"array_0": np.array(2.5)}
    assert unpack(fields, Unpacking(arrays)) == {"a": (1, 2.5)}
    assert pack({"a": (1, np.float64(2.5))}, Packing()) == fields


class Own:
    pass


class Kind(Enum):
    A = 1


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (object(), ""),
        (print, ""),
        ({"key": [1, object()]}, "['key'][1]"),
        ([[print]], "[0][0]"),
        (defaultdict(lambda: 3), ".default_factory"),
        (Kind.A, ""),
        (np.array([None]), ""),
        (np.ma.masked_array([1, 2], mask=[0, 1]), ""),
        (np.array([1, 2]).view(np.recarray), ""),
        (datetime(2026, 1, 2, tzinfo=ZoneInfo("UTC")), ""),
        (type("Sub", (dict,), {})(), ""),
        (iter([1]), ""),
        ({Own()}, "[0]"),
    ],
    ids=lambda value: f"{type(value).__name__} {value!r}"[:24],
)
def test_what_a_checkpoint_cannot_hold_is_told_with_its_place(value: Any, at: str) -> None:
    assert not is_plain(value)
    with pytest.raises(UnkeptError) as caught:
        pack(value, Packing())
    assert str(caught.value) == at


def test_a_checkpoint_of_another_version_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "state"
    whole = checkpoint()
    vars(whole)["field_of_tomorrow"] = 1
    save_checkpoint(whole, path)
    with pytest.raises(UnusableCheckpointError, match="another version"):
        load_checkpoint(path, "trial 3")
