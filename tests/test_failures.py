"""The one line that says why a trial has failed: type, message and place, without what libraries put around it."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from autotune.errors import DivergedError
from autotune.failures import code_around, last_line, summary_of

KERAS = (
    "Exception encountered when calling Sequential.call().\n\n"
    "\x1b[1mException encountered when calling Dense.call().\n\n"
    "Input 0 of layer 'dense' is incompatible with the layer: expected axis -1\x1b[0m\n\n"
    "Arguments received by Sequential.call():\n  • inputs=tf.Tensor()\n  • kwargs=<class 'inspect._empty'>"
)
INFERRED = (
    "Exception encountered when calling L.call().\n\n"
    "\x1b[1mCould not automatically infer the output shape / dtype of 'l' (of type L). Error encountered:\n\n"
    "my own words\nand more\x1b[0m\n\nArguments received by L.call():\n  • args=(1,)"
)
GRAPH = (
    "Graph execution error:\n\n"
    "Detected at node compile_loss/loss defined at (most recent call last):\n"
    '  File "study.py", line 13, in <module>\n\n  File "keras/src/losses/loss.py", line 67, in __call__\n\n'
    "Received a label value of 7 which is outside the valid range of [0, 3).  Label values: 7 7\n"
    "\t [[{{node compile_loss/loss}}]] [Op:__inference_multi_step_on_iterator_210]"
)
ROOTS = (
    "Graph execution error:\n\n2 root error(s) found.\n  (0) INVALID_ARGUMENT:  Incompatible shapes\n\t [[{{node}}]]\n"
    "  (1) INVALID_ARGUMENT:  Incompatible shapes"
)


class Stubborn(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "summary"),
    [
        (ValueError("bad rate"), "ValueError: bad rate"),
        (ValueError("\n\n  first line \nsecond line\n"), "ValueError: first line"),
        (KeyError("adam"), "KeyError: 'adam'"),
        (SystemExit(7), "SystemExit: 7"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (ValueError(KERAS), "ValueError: Input 0 of layer 'dense' is incompatible with the layer: expected axis -1"),
        (RuntimeError(INFERRED), "RuntimeError: my own words"),
        (
            ValueError(GRAPH),
            "ValueError: Received a label value of 7 which is outside the valid range of [0, 3).  Label values: 7 7",
        ),
        (ValueError(ROOTS), "ValueError: INVALID_ARGUMENT:  Incompatible shapes"),
        (ValueError("Graph execution error:\n"), "ValueError: Graph execution error:"),
        (ValueError("Arguments received by nobody"), "ValueError: Arguments received by nobody"),
        (Stubborn(), "Stubborn: its text cannot be shown (RuntimeError)"),
        (DivergedError("the loss is nan.", "a number", "lower the rate"), "DivergedError: the loss is nan."),
        (ValueError("x" * 1000), f"ValueError: {'x' * 300}..."),
    ],
)
def test_the_line_of_a_message_that_says_something_is_found(error: BaseException, summary: str) -> None:
    assert summary_of(error) == summary


@pytest.fixture
def raised(tmp_path: Path) -> Callable[[str], tuple[BaseException, Path]]:
    """Give a function that runs the code of an objective from a file, beside a module of its own."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "net.py").write_text("def build(rate):\n    raise ValueError(f'bad rate {rate}')\n")

    def run(code: str) -> tuple[BaseException, Path]:
        path = tmp_path / "study.py"
        path.write_text(dedent(code))
        namespace: dict[str, Any] = {}
        sys.path.insert(0, str(tmp_path))
        try:
            exec(compile(path.read_text(), str(path), "exec"), namespace)
            namespace["objective"]()
        except BaseException as error:
            return error, path
        finally:
            sys.path.remove(str(tmp_path))
        raise AssertionError("nothing was raised")

    return run


@pytest.mark.parametrize(
    ("code", "summary"),
    [
        ("def objective():\n    raise ValueError('bad')", "ValueError: bad (study.py:2)"),
        ("def objective():\n    assert 1 > 2", "AssertionError (study.py:2: assert 1 > 2)"),
        ("def objective():\n    raise ValueError", "ValueError (study.py:2: raise ValueError)"),
        (
            "from nets.net import build\ndef objective():\n    build(3)",
            f"ValueError: bad rate 3 ({Path('nets/net.py')}:2)",
        ),
        (
            "import json\ndef objective():\n    json.loads('{')",
            "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1) (study.py:3)",
        ),
        (
            """
            def objective():
                try:
                    {}["adam"]
                except KeyError as error:
                    raise ValueError("no such optimizer") from error
            """,
            "ValueError: no such optimizer (study.py:6), from KeyError: 'adam'",
        ),
        (
            """
            def objective():
                try:
                    {}["adam"]
                except KeyError:
                    raise ValueError("no such optimizer")
            """,
            "ValueError: no such optimizer (study.py:6), from KeyError: 'adam'",
        ),
        (
            """
            def objective():
                try:
                    {}["adam"]
                except KeyError:
                    raise ValueError("no such optimizer") from None
            """,
            "ValueError: no such optimizer (study.py:6)",
        ),
    ],
)
def test_the_place_is_the_last_line_that_is_the_users(
    raised: Callable[[str], tuple[BaseException, Path]], code: str, summary: str
) -> None:
    assert summary_of(*raised(code)) == summary


def test_the_code_around_an_error_has_numbers_and_a_mark(
    raised: Callable[[str], tuple[BaseException, Path]],
) -> None:
    error, _ = raised("def objective():\n    rate = 1\n    return rat * 2\n\n\n")
    expected = "     1 | def objective():\n     2 |     rate = 1\n>    3 |     return rat * 2"
    assert code_around(error) == expected
    assert code_around(error, lines=0) == ">    3 |     return rat * 2"


def test_an_error_of_no_users_code_has_no_code_around_it() -> None:
    assert code_around(ValueError("never raised")) == ""


def test_a_circle_of_causes_has_an_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert summary_of(one) == "ValueError: one, from ValueError: other"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no groups of exceptions")
def test_the_first_of_a_group_is_told() -> None:
    group: Any = vars(builtins)["ExceptionGroup"]
    assert summary_of(group("two", [group("inner", [KeyError("a")]), ValueError("b")])) == "KeyError: 'a'"


def test_a_place_outside_of_the_study_files_folder_is_named_by_its_file(
    raised: Callable[[str], tuple[BaseException, Path]],
) -> None:
    error, path = raised("def objective():\n    raise ValueError('bad')")
    assert (
        summary_of(error) == summary_of(error, path.parent / "elsewhere" / "study.py") == "ValueError: bad (study.py:2)"
    )


def test_the_last_line_is_not_indented_and_that_of_nothing_is_empty() -> None:
    assert (last_line(""), last_line("a\n  b\n")) == ("", "b")
