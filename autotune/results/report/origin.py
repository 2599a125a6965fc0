"""The section on versions, and the commands to repeat the study."""

from __future__ import annotations

import shlex
from typing import Any

from autotune.results.advice import Story
from autotune.results.report.page import Section, commands, paragraph, table
from autotune.results.summary import versions
from autotune.running.planning import read_learning


def origin(story: Story) -> Section:
    """Return the section with versions and the commands to reproduce."""
    settings = story.settings
    body = ""
    if settings is not None and settings.study_file is not None:
        body += paragraph("The same study anew, and what can be done with this one:") + commands(_commands(story))
    facts: dict[str, Any] = {"versions": versions()}
    if settings is not None:
        facts = {name: getattr(settings, name) for name in ("study_file", "seed", "split", "threads")} | facts
    if story.result is not None:
        facts = dict(story.result.provenance)
    rows = [[name.replace("_", " "), _flat(value)] for name, value in facts.items() if value not in (None, "", {})]
    return Section("Reproduce", body + table(["what", "which"], rows))


def _commands(story: Story) -> list[str]:
    settings = story.settings
    assert settings is not None
    learning = read_learning(story.study)
    given = {
        "--name": settings.overrides.name,
        "--epochs": settings.overrides.epochs,
        "--folds": settings.overrides.folds,
        "--seed": settings.overrides.seed,
        "--trials": settings.n_trials if settings.n_trials_given else None,
        "--learn-from": ",".join(learning.studies) if learning is not None and learning.origins else None,
    }
    options = "".join(f" {option} {shlex.quote(str(value))}" for option, value in given.items() if value is not None)
    lines = [f"autotune run {shlex.quote(str(settings.study_file))}{options}{story.where}"]
    if story.best:
        lines.append(story.command("replay", f"--trial {story.best[0].number}"))
    lines.append(story.command("finalize"))
    return [*lines, story.command("export", "-o model")] if story.result or story.best else lines


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_flat(one)}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
