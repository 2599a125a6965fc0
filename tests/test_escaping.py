"""Text of others cannot steer a terminal, wherever it is printed; colours of our own stay."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from rich.console import Console
from rich.text import Text

from autotune.cli import main
from autotune.commands.options import parser_for
from autotune.errors import UsageError
from autotune.escaping import EscapingStream, escape_output, escaped, one_line, say, say_json
from autotune.progress import LineProgress, LiveProgress
from autotune.progress.console import new_console
from autotune.results.advice.refining import refine
from autotune.results.advice.story import story_of
from autotune.results.report.writing import write_report
from autotune.results.summary.summary import best_trial, study_status
from autotune.running.storages.opening import sqlite_url
from autotune.running.tracking.events import Note, RunStarted, TrialEnded, TrialStarted
from autotune.running.tracking.note import note_text
from autotune.terminal.printing import print_best, print_refinement, print_statuses

# What a terminal obeys (a title, a colour, a line gone, C1's shorter form), what turns or hides text, what breaks it.
STEERING = {
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x1b[2K\r": r"\x1b[2K\r",
    "\x9b31m": r"\x9b31m",
    "\x08\x7f\x00": r"\x08\x7f\x00",
    "\u202egnp\u2066": r"\u202egnp\u2066",
    "\u200b\ufeff\u00ad": r"\u200b\ufeff\xad",
    "\u2028\u2029\x85": r"\u2028\u2029\x85",
    "\udcff": r"\udcff",
}
HOSTILE = "".join(STEERING) + "[bold]$a$[/oops]"
NAME = HOSTILE.replace("\udcff", "").replace("\x00", "")  # as databases take it for a name
BAD = set("".join(STEERING)) - set("".join(STEERING.values()))


@pytest.mark.parametrize("text", STEERING, ids=ascii)
def test_what_steers_a_terminal_is_written_out(text: str) -> None:
    assert escaped(f"a{text}b\n\tc") == f"a{STEERING[text]}b\n\tc"
    assert one_line(f"a{text}b\n\tc") == f"a{STEERING[text]}b" + r"\n\tc"


@pytest.mark.parametrize(
    "text", ["plain", "größer als 5 °C", "学習率", "نمی\u200cخواهم", "👩\u200d🔬", "a\u00a0b", r"C:\new"]
)
def test_words_of_any_language_are_left_as_they_are(text: str) -> None:
    assert one_line(text) == escaped(text) == text


def test_what_a_process_prints_is_escaped_whoever_prints_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # put back in the end
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    escape_output()
    escape_output()
    print(HOSTILE, "\x1b[31m")
    sys.stderr.writelines([HOSTILE])
    sys.excepthook(ValueError, ValueError(HOSTILE), None)
    with pytest.raises(SystemExit):
        parser_for(dict.fromkeys(COMMANDS, len)).parse_args(["best", "a", HOSTILE])
    out, err = capsys.readouterr()
    assert out == f"{escaped(HOSTILE)} \\x1b[31m\n"
    assert err.count(escaped(HOSTILE)) == 3
    assert not BAD & set(out + err)


def test_commands_print_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["best", "a", HOSTILE])
    err = capsys.readouterr().err
    assert escaped(HOSTILE) in err
    assert not BAD & set(err)


COMMANDS = [
    "check",
    "run",
    "resume",
    "finalize",
    "learning-curve",
    "status",
    "best",
    "export",
    "explain",
    "replay",
    "report",
]
COMMANDS += ["refine", "dashboard", "serve", "datasets"]


def test_what_the_encoding_of_a_terminal_lacks_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    escape_output()
    say("größer\udcff")
    assert written.getvalue() == b"gr\\xf6\\xdfer\\udcff\n"


def test_json_stays_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", EscapingStream(sys.stdout))
    say_json({HOSTILE: [HOSTILE]})
    out = capsys.readouterr().out
    assert json.loads(out) == {HOSTILE: [HOSTILE]}
    assert out.isascii()
    assert not BAD & set(out)


def test_an_error_shows_what_it_is_about_escaped_in_lines_of_its_own() -> None:
    error = UsageError(f"there is no {HOSTILE}.", f"There are:\n{HOSTILE}", HOSTILE)
    assert not BAD & set(str(error))
    assert len(str(error).splitlines()) == 4


def test_a_console_keeps_its_colours_and_escapes_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stdout", EscapingStream(terminal))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    new_console(width=100).print(Text("red\x1b[2J", style="red"))
    assert terminal.getvalue() == "\x1b[31mred\\x1b[2J\x1b[0m\n"


@pytest.mark.parametrize("kind", [LineProgress, LiveProgress])
def test_progress_shows_what_others_wrote_escaped_in_one_line(kind: type[LineProgress | LiveProgress]) -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=kind is LiveProgress, width=400, height=20, color_system=None)
    bad = f"{HOSTILE}\nforged"
    with kind(console) as progress:
        progress(RunStarted(bad, 3, 1, 1, None, "minimize", monitor=bad, failed={bad: 1}))
        progress(Note(None, bad))
        progress(TrialStarted(0, 1, {1: 0.5}))
        if isinstance(progress, LiveProgress):
            progress.refresh()
            print(HOSTILE, file=sys.stderr)  # a warning of some library
        progress(TrialEnded(0, 1, "failed", None, bad, {bad: bad}, 1, 1.0))
    shown = terminal.getvalue()
    assert not BAD - set("\x1b\r") & set(shown)
    assert "\x1b]" not in shown
    assert one_line(bad) in shown
    assert "\nforged" not in shown


@pytest.fixture
def strange(tmp_path: Path) -> optuna.Study:
    """A finished study whose every text is a stranger's."""
    study = optuna.create_study(
        study_name="[bold]$a$ $b", storage=sqlite_url(tmp_path / "autotune.db"), direction="maximize"
    )
    study.set_user_attr("why_over", f"{HOSTILE}\nforged")
    distributions = {
        f"{NAME}\nx": CategoricalDistribution([f"$\\x${HOSTILE}\n", "b"]),
        f"$$ {NAME} y": FloatDistribution(1e-4, 1e-1, log=True),
    }
    rows = [(f"$\\x${HOSTILE}\n", 1e-4), ("b", 0.02), ("b", 0.1), (f"$\\x${HOSTILE}\n", 0.003)] * 4
    for number, row in enumerate(rows):
        params = dict(zip(distributions, row, strict=True))
        state = TrialState.FAIL if number % 4 == 3 else TrialState.COMPLETE
        attributes = {"failure": f"{HOSTILE}\nforged", "failure_message": HOSTILE}
        value = None if state == TrialState.FAIL else row[1] + number
        study.add_trial(
            create_trial(
                state=state, value=value, params=params, distributions=distributions, user_attrs=attributes,
                intermediate_values={1: 0.5, 2: float(number)},
            )
        )  # fmt: skip
    return study


def test_a_study_full_of_a_strangers_words_is_printed(
    strange: optuna.Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = study_status(strange)
    bad = f"{HOSTILE}\nforged"
    print_statuses([status, replace(status, study=bad, failed={"[/oops]\x1b": 4}, why_over=bad)])
    best = best_trial(strange)
    assert best is not None
    print_best(best)
    print_refinement(refine(story_of(strange.study_name, run_dir=tmp_path)))
    out, _ = capsys.readouterr()
    assert not BAD & set(out)
    assert "\nforged" not in out
    assert r"4 [/oops]\x1b" in out
    assert "[bold]$a$ $b" in out


def test_a_report_and_a_note_of_a_strangers_words_are_written(strange: optuna.Study, tmp_path: Path) -> None:
    page = write_report(strange.study_name, tmp_path / "report.html", run_dir=tmp_path).read_text("utf-8")
    assert not BAD & set(page)
    assert page.count(r"\x1b]0;title\x07") > 5
    assert "$a$" in page  # in pictures, too
    note = note_text(strange, [f"Widen {HOSTILE}\n# forged"])
    assert not BAD & set(note)
    assert "\n# forged" not in note
    assert r"\$a\$\[/oops\]" in note
