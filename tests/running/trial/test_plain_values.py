"""Choices come back as the study file's own objects, and what cannot is refused with its name and a way out."""

from __future__ import annotations

import datetime
import enum
import json
import math
import pickle
from collections import OrderedDict, namedtuple
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.errors import SearchSpaceError
from autotune.running.trial.answering import Replay
from autotune.running.trial.piped_trial import PipedTrial
from autotune.running.trial.plain_values import NotPlainError, plain, plain_choices
from autotune.running.trial.requests import Request
from autotune.running.trial.trial_task import _as_number
from autotune.search.history import differences


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Word(str, enum.Enum):
    RELU = "relu"
    TANH = "tanh"


class Size(enum.IntEnum):
    SMALL = 16
    LARGE = 64


class Opaque:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


Pair = namedtuple("Pair", "a b")

# Choices, and what a storage keeps of them.
KEPT: dict[str, tuple[Any, list[Any]]] = {
    "plain": ([None, True, 2, 0.5, "a"], [None, True, 2, 0.5, "a"]),
    "tuples": ([(2, 2), (4, 4)], [[2, 2], [4, 4]]),
    "nested": ([((64, "relu"), ()), ([1, (2,)], None)], [[[64, "relu"], []], [[1, [2]], None]]),
    "named tuples": ([Pair(1, 2), Pair(2, 1)], [[1, 2], [2, 1]]),
    "dicts": ([{"a": (1,)}, OrderedDict(b=2), {}], [{"a": [1]}, {"b": 2}, {}]),
    "the keys of a dict": ({"adam": 1, "sgd": 2}.keys(), ["adam", "sgd"]),
    "the values of a dict": ({"adam": 1, "sgd": 2}.values(), [1, 2]),
    "a dict": ({"adam": 1, "sgd": 2}, ["adam", "sgd"]),
    "a range": (range(2, 7, 2), [2, 4, 6]),
    "letters": ("ab", ["a", "b"]),
    "an array": (np.array([16, 32]), [16, 32]),
    "an array of pairs": (np.array([[2, 2], [4, 4]]), [[2, 2], [4, 4]]),
    "NumPy's numbers": ([np.float32(0.5), np.int64(3), np.bool_(False), np.str_("a")], [0.5, 3, False, "a"]),
    "strings of an Enum": (list(Word), ["relu", "tanh"]),
    "integers of an Enum": (list(Size), [16, 64]),
    "not finite": ([math.nan, math.inf, -math.inf, -0.0], [math.nan, math.inf, -math.inf, -0.0]),
    "odd strings": (["", "a\0b", "\ud800", "é", "\x1b[2J"], ["", "a\0b", "\ud800", "é", "\x1b[2J"]),
    "large": ([2**70, -(2**70)], [2**70, -(2**70)]),
}


class WithSets:
    """What lies in a set has another order in each process."""

    choices = frozenset({"a", "b"})


REFUSED: dict[str, tuple[Any, str]] = {
    "a set": ({"a", "b"}, "the choices of 'p' are a set"),
    "a frozenset": (WithSets.choices, "the choices of 'p' are a frozenset"),
    "a generator": ((c for c in "ab"), "the choices of 'p' are a generator"),
    "members of an Enum": (list(Colour), "Colour.RED is a member of an Enum; its name is 'RED'"),
    "sets": ([{1}, {2}], r"\{1\} is a set, which has no order"),
    "bytes": ([b"a", b"b"], "b'a' is of type bytes"),
    "a path": ([Path("a")], "is of type PosixPath"),
    "a date": ([datetime.date(2020, 1, 1)], "is of type date"),
    "a date of NumPy's": ([np.datetime64("2020-01-01")], "is of type date"),
    "a function": ([print], "is of type builtin_function_or_method"),
    "a class": ([optuna.samplers.TPESampler], "is of type ABCMeta"),
    "a decimal number": ([Decimal("0.1")], "is of type Decimal"),
    "a complex number": ([1j], "is of type complex"),
    "without words": ([Opaque()], "is of type Opaque"),
    "inside": ([(1, (2, print))], "is of type builtin_function_or_method"),
    "keys that are no strings": ([{1: "a"}], "{1: 'a'} would be different after it was stored"),
    "keys that are tuples": ([{(1, 2): "a"}], r"the key \(1, 2\) is of type tuple"),
    "NaN in a tuple": ([(math.nan, 1)], "would be different after it was stored"),
    "one and true": ([1, True], "1 and True are both choices of 'p', and are equal"),
    "nought and false": ([0, False], "0 and False are both choices"),
    "integer and float": ([2, 1, 1.0], "1 and 1.0 are both choices"),
    "two zeros": ([0.0, -0.0], "0.0 and -0.0 are both choices"),
    "one and true within tuples": ([(1,), (True,)], r"\(1,\) and \(True,\) are both choices"),
    "a tuple and a list": ([(1, 2), [1, 2]], r"\(1, 2\) and \[1, 2\] are both choices"),
    "twice": (["a", "b", "a"], "'a' and 'a' are both choices"),
    "two that are not a number": ([math.nan, 1, math.nan], "nan and nan are both choices"),
    "a member and its string": ([Word.RELU, "relu"], "are both choices"),
    "a number and NumPy's": ([1, np.int64(1)], "are both choices"),
}


class _Told:
    """The end of a pipe that keeps the requests."""

    def __init__(self, answers: Mapping[str, tuple[str, Any]] | None = None) -> None:
        self.requests: list[Any] = []
        self._answers = answers or {}

    def send(self, request: Request) -> None:
        self.requests.append(pickle.loads(pickle.dumps(request)))

    def recv(self) -> tuple[str, Any]:
        return self._answers.get(self.requests[-1].name, ("value", 0))


def told_by(answers: Mapping[str, tuple[str, Any]] | None = None) -> Any:
    return _Told(answers)


def exactly(one: Any, other: Any) -> bool:
    """Say whether two values are the same to JSON, their types included."""
    return json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize(("choices", "kept"), KEPT.values(), ids=KEPT)
def test_choices_are_kept_as_json_gives_them_back(choices: Any, kept: list[Any]) -> None:
    found = plain_choices("p", choices)
    assert exactly(found, kept)
    assert exactly(json.loads(json.dumps(found)), kept)
    assert {type(one) for one in found} <= {type(None), bool, int, float, str, list, dict}


@pytest.mark.parametrize(("choices", "kept"), KEPT.values(), ids=KEPT)
def test_a_trial_is_given_the_study_files_own_object(choices: Any, kept: list[Any]) -> None:
    own = list(choices)
    for at, stored in enumerate(json.loads(json.dumps(kept))):
        replay = Replay({"p": stored}, 0)
        trial = PipedTrial(replay)
        given = trial.suggest_categorical("p", own)
        assert given is own[at]
        assert trial.params["p"] is own[at]
        assert exactly(trial.stored_params()["p"], stored)
        again = Replay({}, 1)
        PipedTrial(again).suggest_categorical("p", kept)
        assert differences(replay.distributions, again.distributions) == []


@pytest.mark.parametrize(("choices", "words"), REFUSED.values(), ids=REFUSED)
def test_choices_that_would_not_come_back_are_refused_with_their_name(choices: Any, words: str) -> None:
    with pytest.raises(SearchSpaceError, match=words) as caught:
        PipedTrial(Replay({}, 0)).suggest_categorical("p", choices)
    assert "'p'" in caught.value.happened
    assert caught.value.fix


def test_a_value_that_is_no_choice_any_more_is_left_to_whoever_compares_the_spaces() -> None:
    replay = Replay({"p": [2, 2]}, 0)
    assert PipedTrial(replay).suggest_categorical("p", [(3, 3), (4, 4)]) == [2, 2]


@pytest.mark.parametrize("name", [3, None, "", "a\0b", "\ud800", "x" * 513, ("a",), b"a"])
def test_a_name_that_storages_would_change_or_refuse_is_refused(name: Any) -> None:
    trial = PipedTrial(Replay({}, 0))
    for ask in (
        lambda: trial.suggest_float(name, 0, 1),
        lambda: trial.suggest_int(name, 0, 1),
        lambda: trial.suggest_categorical(name, ["a"]),
    ):
        with pytest.raises(SearchSpaceError, match="cannot name a hyperparameter"):
            ask()


def test_a_range_may_be_given_in_numbers_of_numpy() -> None:
    replay = Replay({}, 0)
    trial = PipedTrial(replay)
    one: Any = np.int64(1)
    assert trial.suggest_int("i", one, np.array(9), step=np.int32(2), log=np.bool_(False)) == 1  # type: ignore[arg-type]  # reason: NumPy
    assert trial.suggest_float("f", np.float32(0.5), np.float64(2), log=np.bool_(True)) == 0.5  # type: ignore[arg-type]  # reason: NumPy
    for distribution in replay.distributions.values():
        assert exactly(
            optuna.distributions.json_to_distribution(
                optuna.distributions.distribution_to_json(distribution)
            )._asdict(),
            distribution._asdict(),
        )


class Tensor:
    """What TensorFlow and others give: a number only to who asks for it."""

    def __init__(self, *values: float) -> None:
        self._values = values

    def __float__(self) -> float:
        (value,) = self._values
        return value

    def __array__(self, *args: object, **how: object) -> np.ndarray[Any, Any]:
        return np.array(self._values if len(self._values) > 1 else self._values[0])


NUMBERS: dict[str, Any] = {
    "a float": 0.5,
    "a float of NumPy's": np.float16(0.5),
    "an array without axes": np.array(0.5),
    "an array of one": np.array([[0.5]], np.float32),
    "a tensor": Tensor(0.5),
    "a decimal number": Decimal("0.5"),
    "a fraction": Fraction(1, 2),
}


@pytest.mark.parametrize("value", [*NUMBERS.values(), (0.5,), [Fraction(1, 2)], (np.float32(0.5),)])
def test_an_objective_may_return_what_optuna_takes(value: Any) -> None:
    assert exactly(_as_number(value), 0.5)


@pytest.mark.parametrize(("value", "number"), [(True, 1.0), (np.bool_(True), 1.0), (3, 3.0), (Tensor(2), 2.0)])
def test_bools_and_integers_are_numbers(value: Any, number: float) -> None:
    assert exactly(_as_number(value), number)


@pytest.mark.parametrize("value", [np.ma.masked, np.ma.masked_all(3).mean(), np.ma.array([0.5], mask=True)])
def test_a_masked_value_is_nan_as_it_is_to_optuna(value: Any) -> None:
    assert math.isnan(_as_number(value))


@pytest.mark.parametrize(
    "value", [None, "0.5", b"0.5", ["0.5"], [], (0.5, 0.5), [[0.5]], np.zeros(2), Tensor(1, 2), 1j, {0.5}, 10**400]
)
def test_what_optuna_does_not_take_is_shown(value: Any) -> None:
    with pytest.raises(TypeError, match=r"the objective returned .*; it must return a number"):
        _as_number(value)


@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS)
def test_reports_and_constraints_may_be_any_number(value: Any) -> None:
    told = told_by()
    trial = PipedTrial(told)
    trial.report(value, np.int64(3))  # type: ignore[arg-type]  # reason: what people do
    trial.set_constraint("memory", value)
    assert exactly(told.requests[1:], [["report", [0.5, 3], {}], ["set_constraint", ["memory", 0.5], {}]])


@pytest.mark.parametrize(("value", "step"), [("much", 1), (None, 1), ([0.5], 1), (0.5, "one"), (0.5, [1]), (0.5, None)])
def test_what_is_no_report_is_refused_in_the_trial_process(value: Any, step: Any) -> None:
    told = told_by()
    with pytest.raises(TypeError, match=r"float|int"):
        PipedTrial(told).report(value, step)
    assert len(told.requests) == 1


ATTRIBUTES: dict[str, tuple[Any, Any]] = {
    "a float of NumPy's": (np.float32(1), 1.0),
    "a bool of NumPy's": (np.bool_(True), True),
    "an array": (np.array([[1, 2]]), [[1, 2]]),
    "a tensor": (Tensor(0.5), 0.5),
    "nested": ({"a": (np.int64(1), {"b": np.array(0.5)})}, {"a": [1, {"b": 0.5}]}),
    "keys": ({np.int64(3): 1, 2: None, True: 0}, {"3": 1, "2": None, "true": 0}),
    "a member of an Enum of strings": (Word.RELU, "relu"),
    "not finite": ([math.nan, math.inf], [math.nan, math.inf]),
    "nothing": (None, None),
}


@pytest.mark.parametrize(("value", "kept"), ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_an_attribute_is_kept_as_json_has_it(value: Any, kept: Any) -> None:
    told = told_by()
    PipedTrial(told).set_user_attr("note", value)
    assert exactly(told.requests[1:], [["set_user_attr", ["note", kept], {}]])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1, 2}, "{1, 2} is a set, which has no order"),
        (Path("a"), "PosixPath('a') is of type PosixPath"),
        (datetime.datetime(2020, 1, 1), "is of type datetime"),
        (b"a", "b'a' is of type bytes"),
        ({"a": [print]}, "is of type builtin_function_or_method"),
        ({(1, 2): 3}, "the key (1, 2) is of type tuple"),
        (Opaque(), "is of type Opaque"),
        (Pair(Colour.RED, 1), "Colour.RED is a member of an Enum; its name is 'RED'"),
        pytest.param(10**5000, "integer string conversion", id="digits without end"),
    ],
)
def test_an_attribute_that_cannot_be_kept_is_left_out_and_named(
    value: Any, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = told_by()
    PipedTrial(told).set_user_attr("remark", value)
    (request,) = told.requests[1:]
    assert request.name == "note"
    assert request.args[0].startswith("the user attribute 'remark' is not stored: ")
    assert words in request.args[0]
    assert words in capsys.readouterr().out


@pytest.mark.parametrize("key", [3, "", "a\0b", "x" * 600, None])
def test_an_attribute_whose_name_cannot_be_kept_is_left_out_and_named(key: Any) -> None:
    told = told_by()
    PipedTrial(told).set_user_attr(key, 1)
    assert [request.name for request in told.requests[1:]] == ["note"]


def test_an_attribute_that_the_storage_refuses_is_left_out_and_named() -> None:
    told = told_by({"set_user_attr": ("error", ValueError("The storage refuses the arguments of set_user_attr"))})
    PipedTrial(told).set_user_attr("note", "x")
    assert [request.name for request in told.requests[1:]] == ["set_user_attr", "note"]


def test_what_contains_itself_is_not_plain() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(NotPlainError, match="contains itself"):
        plain(endless)
