"""The note of a study, which optuna-dashboard shows: its question, search space, data, next commands, and advice.

The format is that of `optuna_dashboard.save_note`, whose import would take a second in each run. A note that a person
has edited on the dashboard's page stays as it is.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution

from autotune.escaping import escaped, one_line
from autotune.optuna_inside import set_system_attr, system_attrs_of
from autotune.parsing import parsed_or_none
from autotune.running.study import StudySettings, read_settings
from autotune.search.history import best_complete, best_first, describe
from autotune.search.transfer import taken_over, worth

_VERSION, _PART = "dashboard:note_ver", "dashboard:note_str:"  # the attributes in which optuna-dashboard stores a note
_OWN = "autotune:note"
_PART_LENGTH = 2045
_MOST_QUESTION, _MOST_RANGE, _MOST_ROWS = 1500, 120, 40


@dataclass(frozen=True)
class _Own:
    """The digest of the note that this package wrote last, and the advice in it."""

    digest: str
    advice: list[str]


def write_note(study: optuna.Study, advice: Sequence[str] | None = None) -> None:
    """Write the note of a study, unless a person has edited it or it has not changed.

    Args:
        study: The study.
        advice: Advice for the next search, one line each; None to keep the advice of the last note.
    """
    attributes = system_attrs_of(study)
    own = parsed_or_none(_Own, attributes.get(_OWN)) or _Own(_digest(""), [])
    before = _note(attributes)
    if _digest(before) != own.digest:
        return
    advice = list(own.advice if advice is None else advice)
    text = note_text(study, advice)
    if text != before:
        # Write the digest first: if writing the note is interrupted, the next run must not take it for an edited one.
        _set(study, _OWN, asdict(_Own(_digest(text), advice)))
        _write(study, text, attributes)


def note_text(study: optuna.Study, advice: Sequence[str]) -> str:
    """Return the note of a study, in Markdown.

    Args:
        study: The study.
        advice: Advice for the next search, one line each.
    """
    settings = read_settings(study)
    parts = [_question(settings), _space(study), _data(settings), _learned(study)]
    parts.append(_commands(study.study_name, settings))
    parts += ["**Advice**\n\n" + "\n".join(f"- {_plain(line)}" for line in advice)] if advice else []
    return escaped("\n\n".join(part for part in parts if part))


def _question(settings: StudySettings | None) -> str:
    return _cut(settings.question, _MOST_QUESTION) if settings else ""


def _space(study: optuna.Study) -> str:
    """Return a table of the hyperparameters and their ranges, which marks those that only some trials have."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.params and trial.state.is_finished()]
    found: dict[str, BaseDistribution] = {}
    for trial in trials:
        found |= trial.distributions
    if not found:
        return ""
    rows = [
        f"| {_plain(name)} | {_plain(_cut(describe(distribution), _MOST_RANGE))} | "
        f"{'' if all(name in trial.params for trial in trials) else 'of some trials'} |"
        for name, distribution in list(found.items())[:_MOST_ROWS]
    ]
    more = [f"| ... | {len(found) - _MOST_ROWS} more | |"] if len(found) > _MOST_ROWS else []
    return "\n".join(["| hyperparameter | range | |", "| --- | --- | --- |", *rows, *more])


def _data(settings: StudySettings | None) -> str:
    return f"**Data** {_plain(settings.data)}" if settings and settings.data else ""


def _learned(study: optuna.Study) -> str:
    """Return from which earlier studies the first trials came."""
    taken = taken_over(study.get_trials(deepcopy=False))
    best = best_first(study, best_complete(study)) if taken else []
    return _plain(worth(taken, best[0].number if best else None))


def _commands(name: str, settings: StudySettings | None) -> str:
    if settings is not None and settings.part_of is not None:
        again = f"These trials train configurations of {_code(settings.part_of)} again."
        return f"{again} Go on: {_code(f'autotune finalize {shlex.quote(settings.part_of)}')}"
    commands = {"Go on": "resume", "How far it is": "status", "The best": "best", "Confirm and test": "finalize"}
    return "\n".join(
        f"- {what}: {_code(f'autotune {command} {shlex.quote(name)}')}" for what, command in commands.items()
    )


def _note(attributes: Mapping[str, Any]) -> str:
    n_parts = sum(key.startswith(_PART) for key in attributes)
    return "".join(str(attributes.get(f"{_PART}{number}", "")) for number in range(n_parts))


def _write(study: optuna.Study, text: str, before: Mapping[str, Any]) -> None:
    parts = [text[start : start + _PART_LENGTH] for start in range(0, len(text), _PART_LENGTH)]
    parts += [""] * (sum(key.startswith(_PART) for key in before) - len(parts))  # empties parts of a longer note
    _set(study, _VERSION, (parsed_or_none(int, before.get(_VERSION)) or 0) + 1)
    for number, part in enumerate(parts):
        _set(study, f"{_PART}{number}", part)


def _set(study: optuna.Study, key: str, value: Any) -> None:
    set_system_attr(study, key, value)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 4] + " ..."


def _plain(text: str) -> str:
    """Return a text as one line of plain Markdown: with escaped tags, formulas and cell separators."""
    return re.sub(r"[\\`*\[\]<|$~&]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", one_line(text))


def _code(text: str) -> str:
    """Return a text as one line of Markdown code."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    room = " " if "`" in text else ""
    return f"{fence}{room}{one_line(text)}{room}{fence}"
