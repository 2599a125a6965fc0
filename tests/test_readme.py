"""README and docs are true: their commands run, the examples work, the listing is the package, links lead somewhere."""

from __future__ import annotations

import ast
import re
import runpy
import signal
import subprocess
import sys
import urllib.request
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import optuna
import pytest
from command_line import autotune

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
DOCS = {path: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
# Run by `scripts/test` itself, or by a test of their own below.
ELSEWHERE = {"./scripts/quickstart", "./scripts/test", ". .venv/bin/activate", "autotune dashboard", "autotune serve"}
BY_PAGES_OF_THEIR_OWN = re.compile("autotune run digits_.*")  # tests/test_objectives_page.py

# Run first, and trains what `autotune run blocks.py` then finds done: its trials have an environment of their own, for
# which another server would have to start between the others.
WITHOUT_GPUS = "autotune run blocks.py --gpus none --workers 2"
# Run last, when a finalization with fewer seeds is recorded: it would train thirty networks.
DEFAULT_FINALIZE = "autotune finalize blocks"
# Examples are run as they stand, but for this one, of which fewer networks show the same.
SMALLER = {"wines": [("KFold(3)", "KFold(2)"), ("n_trials=4", "n_trials=2")]}


def blocks(language: str, text: str = README) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [content for marked, content in fenced if marked == language]


def headings(text: str) -> list[str]:
    """List what a page's headings are called in links to them."""
    lines = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return [re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in lines]


def commands() -> list[str]:
    """List the commands of all pages, each once: a page repeats what another one has."""
    lines = [line for text in DOCS.values() for block in blocks("", text) for line in block.splitlines() if line]
    lines = [line for line in dict.fromkeys(lines) if not BY_PAGES_OF_THEIR_OWN.fullmatch(line)]
    wanted = [line for line in lines if line not in ELSEWHERE and "mnist" not in line]
    return sorted(wanted, key=lambda line: (line == DEFAULT_FINALIZE) - (line == WITHOUT_GPUS))


@pytest.mark.long
@pytest.mark.trains
def test_every_command_and_the_example_from_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for page in DOCS.values():
        for example in blocks("python", page):
            for name in re.findall(r"name=\"(\w+)\",\s+(?:dataset|objective)=", example):
                for before, smaller in SMALLER.get(name, []):
                    assert before in example, f"{name}.py has no {before}"
                    example = example.replace(before, smaller)
                Path(f"{name}.py").write_text(example)
    assert len(commands()) >= 8
    first, *_, last = commands()
    assert (first, last) == (WITHOUT_GPUS, DEFAULT_FINALIZE)
    for command in commands():
        program, *arguments = command.split()
        assert program == "autotune"
        result = autotune(*arguments)
        assert result.returncode == 0, f"{command}: {result.stderr}"
        assert result.stdout
    (script,) = (block for block in blocks("python") if "autotune.run(" in block)
    Path("script.py").write_text(script)
    with redirect_stdout(StringIO()) as printed:  # tests/running/engine/test_run_keeping.py has scripts as processes
        runpy.run_path("script.py", run_name="__main__")
    assert "learning_rate" in printed.getvalue()


def test_the_dashboard_answers_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    optuna.create_study(study_name="blocks", storage=f"sqlite:///{tmp_path}/runs/autotune.db")
    command = [sys.executable, "-m", "autotune", "dashboard", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert url is not None
        with urllib.request.urlopen(f"{url[0]}api/studies") as answer:
            assert b'"blocks"' in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130


@pytest.mark.slow
def test_real_mnist_trains_as_the_readme_says(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (command,) = re.findall(r"^autotune (run studies/mnist_cnn.py .*)$", README, re.MULTILINE)
    arguments = command.replace("DIR", str(data_dir)).replace("studies/", f"{ROOT}/studies/").split()
    result = autotune(*arguments)
    assert result.returncode == 0, result.stderr
    assert "4 of 4 trials finished" in result.stdout


def test_the_listings_say_what_rooms_and_files_say_of_themselves() -> None:
    (listing,) = (block for block in blocks("text") if "stopping_rule" in block)
    rooms = dict(re.findall(r"^(\S+/)  +(.+)$", listing, re.MULTILINE))
    assert len(rooms) > 30
    assert len(listing.splitlines()) <= 37  # one screen
    for room, line in rooms.items():
        doc = ast.get_docstring(ast.parse((ROOT / "autotune" / room / "__init__.py").read_text())) or ""
        assert f"{line}." == doc.splitlines()[0], room
        for name, words in re.findall(r"^(\w+)  +(.+)$", doc, re.MULTILINE):
            of_file = ast.get_docstring(ast.parse((ROOT / "autotune" / room / f"{name}.py").read_text())) or ""
            assert of_file.startswith(words), f"{room}{name}"


def test_links_to_files_lead_somewhere() -> None:
    for page, text in DOCS.items():
        links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
        for link in links:
            path, _, heading = link.partition("#")
            assert (page.parent / path).exists(), f"{page.name}: {link}"
            assert not heading or heading in headings((page.parent / path).read_text()), f"{page.name}: {link}"
        for path in re.findall(r"`((?:scripts|studies)/[\w./]+)`", text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"
        assert links or page.name != "README.md"
