"""What somebody else has written becomes a record, or is named as what it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from autotune.parsing import NotUnderstoodError, parsed, parsed_or_none


@dataclass(frozen=True)
class Inner:
    value: float

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError(f"{self.value} is below 0")


@dataclass(frozen=True)
class Record:
    name: str
    count: int
    inner: Inner | None
    values: tuple[float, ...]
    kind: Literal["one", "two"] = "one"
    by_name: Mapping[str, int] = field(default_factory=dict)
    mixed: int | list[int] | None = None


STORED = {"name": "a", "count": 2, "inner": {"value": 1}, "values": [1, 2.5], "by_name": {"x": 3}, "mixed": [1]}


def test_a_record_is_made_by_the_types_of_its_fields() -> None:
    found = parsed(Record, {**STORED, "of_tomorrow": 1})
    assert found == Record("a", 2, Inner(1.0), (1.0, 2.5), "one", {"x": 3}, [1])
    assert isinstance(found.values[0], float)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": 7}, "it.name is 7, and not str"),
        ({"name": "a\0b"}, "it.name is"),
        ({"name": "\ud800"}, "it.name is"),
        ({"count": True}, "it.count is True, and not int"),
        ({"count": 1.5}, "it.count is 1.5, and not int"),
        ({"count": 10**400}, "it.count is"),
        ({"inner": []}, "it.inner is a list, and no record"),
        ({"inner": {}}, "it.inner has no value"),
        ({"inner": {"value": -1}}, r"it.inner: -1.0 is below 0"),
        ({"values": "12"}, "it.values is '12', and not"),
        ({"values": [1, "2"]}, r"it.values\[1\] is '2', and not float"),
        ({"kind": "three"}, "it.kind is 'three'"),
        ({"kind": ["one"]}, "it.kind is a list"),
        ({"by_name": {"x": None}}, r"it.by_name\['x'\] is None"),
        ({"mixed": "1"}, "it.mixed is '1'"),
        ({"name": {"\x1b[2J": 1}}, "it.name is a dict"),
    ],
)
def test_what_is_something_else_is_named_in_one_line(change: dict[str, Any], words: str) -> None:
    with pytest.raises(NotUnderstoodError, match=words) as caught:
        parsed(Record, {**STORED, **change})
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()
    assert parsed_or_none(Record, {**STORED, **change}) is None


def test_what_is_missing_is_named() -> None:
    with pytest.raises(NotUnderstoodError, match="the settings has no name"):
        parsed(Record, {}, "the settings")
    with pytest.raises(NotUnderstoodError, match="it is None, and no record"):
        parsed(Record, None)


def test_numbers_that_are_not_finite_are_floats() -> None:
    assert parsed(float, math.inf) == math.inf
    assert math.isnan(parsed(float, math.nan))
    assert parsed_or_none(int, math.inf) is None
