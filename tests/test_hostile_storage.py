"""A storage that anybody may have written to is looked at: nothing is changed, read outside, run, or obeyed."""

from __future__ import annotations

import functools
import io
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hostile_storage import write_hostile_storage
from hostile_values import CANARY, Trap, new_trap

import autotune.results.summary.summary
import autotune.running.storages.opening
from autotune.cli import main
from autotune.running.storages.opening import open_existing_storage, open_storage, open_to_look

Printed = tuple[int, str, str]
Look = Callable[..., Printed]


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Trap:
    return new_trap(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def names(trap: Trap) -> list[str]:
    """Give the names of the hostile studies that can be typed."""
    written = write_hostile_storage(trap)
    return [name for name in written if _can_be_typed(name)]


def _can_be_typed(name: str) -> bool:
    return "\0" not in name and not any("\ud800" <= letter <= "\udfff" for letter in name) and name[:1] != "-"


@pytest.fixture
def texts(names: list[str]) -> list[str]:
    """Give those that are shown, with hostile texts wherever there is a text."""
    return [name for name in names if name.startswith("texts-")]


@pytest.fixture(scope="module")
def watched(trap: Trap, names: list[str]) -> Iterator[Callable[[], dict[str, object]]]:
    """Give a function that returns what there is, as far as it may not change."""
    open_storage(trap.url)  # as whoever writes to a storage does, beside which there is a lock then
    with closing(sqlite3.connect(trap.root / "hostile.db")) as database:

        def seen() -> dict[str, object]:
            found: dict[str, object] = {}
            for folder, folders, files in os.walk(trap.root):
                for path in (Path(folder) / name for name in (*folders, *files)):
                    if not path.name.startswith("hostile.db-"):  # SQLite's own, while it is open
                        status = path.lstat()
                        changed = None if path.name.startswith("hostile.db") else status.st_mtime_ns
                        found[str(path)] = status.st_mode, status.st_ino, status.st_size, changed
            (found["commits"],) = database.execute("PRAGMA data_version")  # of anybody else
            return found

        yield seen


@pytest.fixture(scope="module")
def untouched(watched: Callable[[], dict[str, object]]) -> dict[str, object]:
    return watched()


@pytest.fixture(autouse=True)
def unchanged(trap: Trap, watched: Callable[[], dict[str, object]], untouched: dict[str, object]) -> Iterator[None]:
    """See that everything is as it was, and that the study file was not run."""
    yield
    assert not trap.was_run()
    after = watched()
    assert {key for key in untouched.keys() | after.keys() if untouched.get(key) != after.get(key)} == set()


@pytest.fixture
def look(
    trap: Trap, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_places_from_outside: None
) -> Look:
    """Give a function that has a command look at the storage, and checks what it prints."""
    once = _opened_once()
    monkeypatch.setattr(autotune.results.summary.summary, "open_to_look", once)
    monkeypatch.setattr(autotune.running.storages.opening, "open_to_look", once)
    monkeypatch.chdir(trap.root)

    def looking(command: str, name: str | None, *options: str, run_dir: Path | None = trap.run_dir) -> Printed:
        line = [command, *([name] if name is not None else []), *options, "--storage", trap.url]
        code = main([*line, *(["--run-dir", str(run_dir)] if run_dir is not None else [])])
        printed = capsys.readouterr()
        said = f"{line[:2]!r}: {printed.out[-500:]!r} {printed.err[-500:]!r}"
        assert code in (0, 2), said
        assert "Traceback" not in printed.out + printed.err, said
        assert CANARY not in printed.out + printed.err, said
        assert _obeys_nothing(printed.out + printed.err), said
        told = [one for one in printed.err.splitlines() if not one.startswith("Study file: ")]
        assert bool(told) == bool(code) or command == "status", said
        return code, printed.out, printed.err

    return looking


@functools.cache
def _opened_once() -> Callable[[str], Any]:
    return functools.cache(open_to_look)


def _obeys_nothing(text: str) -> bool:
    """Say whether a terminal shows a text, and does nothing else."""
    return all(letter in "\n\t" or (letter.isprintable() or letter.isspace()) for letter in text) and not (
        set(text) & set("\x1b\x9b\x07\x08\r\x7f\u202e\u2066\u2028")
    )


def test_all_studies_are_told_of_or_named_in_one_line(look: Look, names: list[str]) -> None:
    code, out, err = look("status", None)
    assert code == 0
    assert len(err.splitlines()) > 100
    assert all(line.startswith("Skipped: ") and len(line) < 500 for line in err.splitlines())
    for name in ["honest", *(name for name in names if name[:3].isdigit())]:
        assert (f"\n{name} " in out) != (f"{name!r} cannot be understood" in err), name


def test_a_status_is_json_too(look: Look, names: list[str], texts: list[str]) -> None:
    for name in ["honest", *texts[::4], *names[3::24]]:
        code, out, _ = look("status", name, "--json")
        assert code or json.loads(out)["study"] == name


def test_of_the_honest_study_everything_is_told(look: Look, tmp_path: Path) -> None:
    for command, *options in (["status"], ["status", "--watch"], ["best"], ["refine"], ["report", "-o", str(tmp_path)]):
        assert look(command, "honest", *options[:1], *([f"{tmp_path}/r.html"] if options[1:] else []))[0] == 0
    assert "Trial 4 wins" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("command", [("best",), ("best", "--json"), ("status",)], ids=" ".join)
def test_each_study_is_told_of_or_refused_in_plain_lines(
    look: Look, names: list[str], command: tuple[str, ...]
) -> None:
    part = ("best", "best --json", "status").index(" ".join(command))
    for name in names[part::9]:
        code, out, err = look(command[0], name, *command[1:])
        if command[1:] and not code:
            json.loads(out)
        assert len(err.splitlines()) <= 5


def test_hostile_texts_are_shown_and_not_obeyed(look: Look, texts: list[str]) -> None:
    assert len(texts) > 30
    for name in texts:
        assert look("best", name)[0] == (2 if name in ("texts-nul", "texts-surrogate") else 0), name
    for name in texts[::6]:
        assert look("status", name, "--watch")[0] == 0, name


def test_the_next_search_is_told_of_or_refused(look: Look, names: list[str]) -> None:
    for name in names[::14]:
        look("refine", name)


SHOWN = ("escape", "rich-close", "mathtext", "mathtext-two", "html", "html-attribute", "lines", "nul", "bidi")


@pytest.mark.parametrize("kind", [*(f"texts-{kind}" for kind in SHOWN), *"0246"])
def test_a_report_holds_nothing_of_others(look: Look, names: list[str], tmp_path: Path, kind: str) -> None:
    for name in [kind] if kind in names else [name for name in names if name[:2] == f"0{kind}"][:2]:
        code, _, _ = look("report", name, "-o", str(tmp_path / "report.html"))
        assert code == 0 or not kind.startswith("texts-") or kind == "texts-nul", name
        page = (tmp_path / "report.html").read_text("utf-8") if code == 0 else ""
        assert CANARY not in page
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert not set(page) & set("\x1b\x9b\0")


def test_files_are_not_looked_for_where_only_the_storage_says(look: Look, texts: list[str], tmp_path: Path) -> None:
    for name in texts[:5]:
        for command, *options in (["report"], ["export", "-o", str(tmp_path / "out")], ["explain"]):
            code, _, err = look(command, name, *options, run_dir=None)
            assert code == 2
            assert "where you have not run it" in err or "cannot" in err
    assert not (tmp_path / "out").exists()


def test_models_that_are_not_there_are_not_taken_from_elsewhere(look: Look, names: list[str], tmp_path: Path) -> None:
    for name in names[::12]:
        assert look("export", name, "-o", str(tmp_path / "out"))[0] == 2
        assert look("explain", name)[0] == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [("replay", "--trial", "0"), ("resume",), ("explain",), ("learning-curve",)])
def test_no_study_file_is_run(look: Look, names: list[str], command: tuple[str, ...]) -> None:
    refused = [look(command[0], name, *command[1:])[2] for name in ["honest", *names[::20]]]
    assert "study.py" in refused[0] or command[0] in ("explain", "learning-curve")


def test_a_result_that_somebody_else_has_written_is_shown_or_refused(look: Look, names: list[str]) -> None:
    assert look("finalize", "honest")[0] == 0
    for name in names[::12]:
        look("finalize", name)


def test_the_dashboard_shows_studies_and_no_files_of_others(
    trap: Trap, names: list[str], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from autotune.results.dashboard.serving import dashboard_app

    storage = open_existing_storage(trap.url)
    assert storage is not None
    app = dashboard_app(storage, trap.run_dir)
    status, body = _asked(app, "/api/studies")
    assert status.startswith("200")
    ids = [study["study_id"] for study in json.loads(body)["study_summaries"]]
    assert len(ids) > 100
    for study_id in ids[::12]:
        for address in (f"/api/studies/{study_id}", f"/artifacts/{study_id}/1/01234567-89ab-cdef-0123-456789abcdef"):
            status, body = _asked(app, address)
            assert status[:3] in ("200", "404", "500"), address
            assert CANARY.encode() not in body
            assert b"Traceback" not in body
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err + caplog.text
    assert 'File "' not in caplog.text


def _asked(app: Any, address: str) -> tuple[str, bytes]:
    begun: list[Any] = []
    environ = {
        **{"REQUEST_METHOD": "GET", "PATH_INFO": address, "QUERY_STRING": "", "CONTENT_LENGTH": "0"},
        **{"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8080", "HTTP_HOST": "127.0.0.1:8080"},
        **{"wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO()},
    }
    answer = app(environ, lambda *answer: begun.extend(answer))
    content = b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    assert "Traceback" not in environ["wsgi.errors"].getvalue()
    return str(begun[0]), content
