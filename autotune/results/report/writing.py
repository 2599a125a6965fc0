"""Write the report of a study, at any time, from its stored records."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

from autotune.errors import UsageError
from autotune.escaping import escaped
from autotune.results.advice import Story, story_of
from autotune.results.report.answer import advice, head, winner
from autotune.results.report.course import course, curves, time
from autotune.results.report.origin import origin
from autotune.results.report.page import whole_page
from autotune.results.report.seen import data, model
from autotune.results.report.space import effects, importance, parallel, searched


def write_report(
    name: str, output: str | Path | None = None, *, storage: str | None = None, run_dir: str | Path | None = None
) -> Path:
    """Write the report of a study, finished or not, and return where it is.

    Args:
        name: The study's name.
        output: The file to write; None for `RUN_DIR/NAME/report.html`.
        storage: As in `autotune.run`.
        run_dir: As in `autotune.run`.

    Raises:
        UsageError: If there is no such study, or the file cannot be written.
    """
    story = story_of(name, storage=storage, run_dir=run_dir)
    path = Path(output) if output is not None else story.folder / "report.html"
    _write(path, report_page(story))
    return path


def report_page(story: Story) -> str:
    """Return the page that tells a story."""
    told = (winner, advice, course, curves, importance, effects, parallel, searched, model, data, time, origin)
    return escaped(whole_page(story.study.study_name, head(story), [section(story) for section in told]))


def _write(path: Path, page: str) -> None:
    beside = path.with_name(f".{uuid.uuid4().hex}.html")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(page, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise UsageError(
            f"the report {path} cannot be written: {error.strerror}.",
            "It is a file in a folder that can be written to.",
            "Choose another: autotune report NAME -o FILE",
        ) from error
