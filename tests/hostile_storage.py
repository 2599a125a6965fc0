"""A storage in which somebody has written what no run would write, into every field that there is.

A study as `autotune run` leaves it is made once, with everything that a study may have. Then there is a copy of it for
each field and for some of the values below, in which that one field is what it should not be; and for each of the
values one in which all fields are it. Every field meets every value that is marked as worth it.

What is covered: SQLite, whose columns take values of any type, and whose rows are written here by SQL. As a script it
writes such a storage to look at by hand: `python tests/hostile_storage.py FOLDER`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from hostile_values import RAW, Trap, new_trap, values
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from autotune.running.study.settings import StudySettings, write_settings
from autotune.study import Overrides

_ID = "01234567-89ab-cdef-0123-456789abcdef"
_OWNER = {"parent": "elsewhere-1-0123abcd", "place": "a boot/1/2", "lock": "elsewhere-1-0123abcd.lock"}
_SIGN = {"beat": 3, "lease_s": 60.0, "slots": 2, "seen": "2020-01-01T00:00:00+00:00"}


@dataclass(frozen=True)
class Field:
    """A place in the storage where something can be written.

    Attributes:
        name: What it is called.
        table: The table.
        column: The column.
        key: The key of an attribute; None for all rows of the study.
        path: Where in the attribute's JSON; empty for all of it.
        is_json: Whether it holds JSON, else any value of SQLite's.
        is_in_text: Whether that JSON is a text in JSON, as Optuna notes artifacts.
    """

    name: str
    table: str
    column: str
    key: str | None = None
    path: tuple[str, ...] = ()
    is_json: bool = False
    is_in_text: bool = False


def _attributes(table: str, keys: dict[str, tuple[str, ...]]) -> Iterator[Field]:
    for key, paths in keys.items():
        in_text = key.startswith("artifacts:")
        yield Field(f"{table}/{key}", table, "value_json", key, (), True, in_text)
        for path in paths:
            parts = tuple(path.split("/"))
            yield Field(f"{table}/{key}/{path}", table, "value_json", key, parts, True, in_text)


FIELDS = [
    Field("name", "studies", "study_name"),
    Field("direction", "study_directions", "direction"),
    *_attributes(
        "study_user_attributes",
        {
            "autotune": (*StudySettings.__dataclass_fields__, "overrides/name", "overrides/epochs", "minimize/0"),
            "why_over": (),
            "autotune:final": (
                *("study", "direction", "monitor", "confirmation", "test", "models", "models/0", "epochs"),
                *("provenance", "provenance/versions", "confirmation/winner", "confirmation/candidates"),
                *("confirmation/candidates/0/name", "confirmation/candidates/0/params"),
                *("confirmation/candidates/0/confirmed/mean", "test/estimate", "test/values", "test/opened"),
            ),
            "autotune:test_rows": ("models", "opened"),
            "autotune:queue": ("0/candidate", "0/params", "0/repeat", "0/refit"),
            "autotune:learned": ("studies", "studies/0", "origins", "origins/0/study", "origins/0/trial"),
        },
    ),
    *_attributes(
        "study_system_attributes",
        {
            "autotune:parent:elsewhere-1-0123abcd": ("beat", "lease_s", "slots", "seen"),
            "autotune:note": ("digest", "advice"),
            "dashboard:note_ver": (),
            "dashboard:note_str:0": (),
            "dashboard:objective_names": (),
            "study:metric_names": (),
        },
    ),
    *(Field(name, "trials", name) for name in ("number", "state", "datetime_start", "datetime_complete")),
    *(Field(name, "trial_params", name) for name in ("param_name", "param_value", "distribution_json")),
    Field("choices/0", "trial_params", "distribution_json", None, ("attributes", "choices", "0"), True),
    *(Field(name, "trial_values", name) for name in ("objective", "value", "value_type")),
    *(
        Field(name, "trial_intermediate_values", name)
        for name in ("step", "intermediate_value", "intermediate_value_type")
    ),
    *_attributes(
        "trial_user_attributes",
        {
            **dict.fromkeys(("failure", "failure_message", "best_epoch", "fold_values", "learning_rates"), ()),
            **dict.fromkeys(("fit_seconds", "process_seconds", "n_parameters", "copy_of", "monitored_loss"), ()),
            **dict.fromkeys(("candidate", "repeat", "fraction", "refit"), ()),
            "learned_from": ("study", "trial", "params", "params/rate"),
        },
    ),
    *_attributes(
        "trial_system_attributes",
        {
            "autotune:owner": ("parent", "place", "lock"),
            "autotune:losses": ("count", "steps"),
            "fixed_params": (),
            f"artifacts:{_ID}": ("artifact_id", "filename", "mimetype", "encoding"),
        },
    ),
]


_ORIGIN = {"study": "an earlier one", "trial": 7, "params": {"rate": 0.01}}
TEXTS = (
    *("question", "autotune/data", "monitor", "study_digest", "why_over", "dashboard:note_str:0", "digest"),
    *("param_name", "choices/0", "failure", "failure_message", "candidate", "filename", "mimetype", "opened"),
    *("provenance/versions", "objective_names", "metric_names", "monitored_loss"),
    *("studies/0", "learned_from/study", "origins/0/study"),
)
"""The ends of the names of fields that may hold any text, so that it is gone on with to be shown."""


def _honest_trials() -> Iterator[Any]:
    space = {
        "rate": FloatDistribution(1e-4, 1e-1, log=True),
        "blocks": IntDistribution(1, 3),
        "activation": CategoricalDistribution(["relu", "gelu"]),
    }
    artifact = json.dumps({"artifact_id": _ID, "filename": "history.json", "mimetype": "application/json"})
    noted = {"autotune:losses": {"count": 1, "steps": 1}, "fixed_params": {"blocks": 1}, f"artifacts:{_ID}": artifact}
    states = [TrialState.COMPLETE] * 5 + [TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING]
    for number, state in enumerate(states):
        params = {"rate": 10 ** -(1 + number / 4), "blocks": 1 + number % 3, "activation": ["relu", "gelu"][number % 2]}
        epochs = {epoch: 0.5 + number / 100 + epoch / 1000 for epoch in range(1, 4)}
        yield create_trial(
            state=state,
            value=max(epochs.values()) if state == TrialState.COMPLETE else None,
            params=params,
            distributions=space,
            intermediate_values=epochs,
            user_attrs={
                **({"failure": "error", "failure_message": "it failed"} if state == TrialState.FAIL else {}),
                **{"best_epoch": 3, "fold_values": [0.5, 0.6], "learning_rates": [[0.1, 0.1, 0.1]]},
                **{"fit_seconds": 1.0, "process_seconds": 2.0, "n_parameters": 1000, "monitored_loss": "a loss"},
                **{
                    "candidate": str(number),
                    "repeat": 0,
                    "fraction": 1.0,
                    "refit": {"epochs": 3, "learning_rates": []},
                },
                **({"learned_from": _ORIGIN} if number < 2 else {}),
            },
            system_attrs={**noted, **({"autotune:owner": _OWNER} if state == TrialState.RUNNING else {})},
        )


def _estimate(mean: float) -> dict[str, float]:
    return {"mean": mean, "standard_error": 0.01, "low": mean - 0.02, "high": mean + 0.02, "p_value": 0.01}


def _final(study: str) -> dict[str, Any]:
    candidates = [
        {
            **{"name": str(number), "params": {"rate": 0.01, "blocks": 1, "activation": "relu"}, "searched": 0.54},
            **{"confirmed": _estimate(0.53), "optimism": 0.01, "n_failed": 0, "n_parameters": 1000},
            **{"versus_best": _estimate(0.0), "costs": {}},
        }
        for number in (4, 3)
    ]
    test = {"metric": "accuracy", "n_rows": 100, "values": [0.5, 0.6], "estimate": _estimate(0.55), "baseline": None}
    return {
        **{"study": study, "direction": "maximize", "monitor": "val_accuracy", "epochs": 3},
        "confirmation": {
            **{"candidates": candidates, "winner": "4", "is_clear": False, "versus_baseline": None, "repeats": 2}
        },
        "test": {**test, "versus_baseline": None, "opened": "2020-01-01T00:00:00+00:00"},
        "models": [f"/runs/{study}.final/trials/00000/model.keras"],
        "provenance": {"seed": 0, "versions": {"python": "3.11"}},
    }


def honest_study(trap: Trap, name: str = "honest") -> optuna.Study:
    """Write a study as `autotune run` and `autotune finalize` leave it, but for its files."""
    study = optuna.create_study(storage=trap.url, study_name=name, direction="maximize")
    settings = StudySettings(
        **{
            "study_file": str(trap.study_file),
            "n_trials": 8,
            "n_trials_given": True,
            "overrides": Overrides(name=name),
        },
        **{
            "seed": 0,
            "epochs": 3,
            "monitor": "val_accuracy",
            "epoch_policy": "best",
            "split": "0123abcd",
            "threads": 1,
        },
        **{"data_dir": str(trap.outside), "run_dir": str(trap.evil), "study_digest": "abc", "token": "0123abcd"},
        **{"question": "Is it so?", "data": "digits", "minimize": ["parameters"], "tensorboard": "run-dir"},
    )
    write_settings(study, settings)
    study.add_trials(list(_honest_trials()))
    queue = [{"candidate": "4", "params": {"rate": 0.01}, "repeat": 0, "refit": None, "fraction": 1.0}]
    attributes: dict[str, Any] = {
        "autotune:final": _final(name),
        "autotune:test_rows": {"models": ["abc"], "opened": "2020-01-01T00:00:00+00:00"},
        "autotune:queue": queue,
        "autotune:learned": {"studies": ["an earlier one"], "origins": [_ORIGIN]},
        "why_over": "all has been tried",
    }
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    system: dict[str, Any] = {
        "autotune:parent:elsewhere-1-0123abcd": _SIGN,
        "autotune:note": {"digest": "abc", "advice": []},
        "dashboard:note_ver": 1,
        "dashboard:note_str:0": "a note",
        "dashboard:objective_names": ["val_accuracy"],
        "study:metric_names": ["val_accuracy"],
    }
    for key, value in system.items():
        study._storage.set_study_system_attr(study._study_id, key, value)
    return study


_COPIED = {
    "studies": ["study_name"],
    "study_directions": ["direction", "study_id", "objective"],
    "study_user_attributes": ["study_id", "key", "value_json"],
    "study_system_attributes": ["study_id", "key", "value_json"],
}


class _Writer:
    """Copies of the honest study, with one field or all of them changed."""

    def __init__(self, database: sqlite3.Connection, honest_id: int) -> None:
        self._database = database
        self._honest_id = honest_id
        self._tables = ("trial_values", "trial_intermediate_values", "trial_params")
        self._tables += ("trial_user_attributes", "trial_system_attributes")

    def copy(self, name: str) -> int:
        """Copy the study and return the copy's id."""
        study_id = self._database.execute("INSERT INTO studies (study_name) VALUES (?)", (name,)).lastrowid
        for table in ("study_directions", "study_user_attributes", "study_system_attributes"):
            self._copy_rows(table, "study_id", self._honest_id, int(study_id or 0))
        for (trial_id,) in self._database.execute(
            "SELECT trial_id FROM trials WHERE study_id = ? ORDER BY trial_id", (self._honest_id,)
        ).fetchall():
            columns = "number, state, datetime_start, datetime_complete"
            copied = self._database.execute(
                f"INSERT INTO trials (study_id, {columns}) SELECT ?, {columns} FROM trials WHERE trial_id = ?",
                (study_id, trial_id),
            ).lastrowid
            for table in self._tables:
                self._copy_rows(table, "trial_id", trial_id, int(copied or 0))
        return int(study_id or 0)

    def _copy_rows(self, table: str, owner: str, old: int, new: int) -> None:
        info = self._database.execute(f"PRAGMA table_info({table})").fetchall()
        columns = ", ".join(row[1] for row in info if not row[5] and row[1] != owner)
        self._database.execute(
            f"INSERT INTO {table} ({owner}, {columns}) SELECT ?, {columns} FROM {table} WHERE {owner} = ?", (new, old)
        )

    def write(self, study_id: int, field: Field, value: Any) -> None:
        """Write a value into a field of a study; what SQLite's own rules refuse stays as it was."""
        is_of_study = field.table.startswith("stud")
        of = "study_id = ?" if is_of_study else "trial_id IN (SELECT trial_id FROM trials WHERE study_id = ?)"
        where, given = (f"{of} AND key = ?", (study_id, field.key)) if field.key else (of, (study_id,))
        rows = self._database.execute(
            f"SELECT rowid, {field.column} FROM {field.table} WHERE {where}", given
        ).fetchall()
        for rowid, before in rows:
            after = _changed(field, before, value) if field.is_json else _plain(value)
            with contextlib.suppress(sqlite3.IntegrityError, OverflowError, UnicodeEncodeError):
                self._database.execute(f"UPDATE {field.table} SET {field.column} = ? WHERE rowid = ?", (after, rowid))

    def write_raw(self, study_id: int, field: Field, value: Any) -> None:
        """Write a text that is no JSON into a field of a study."""
        self.write(study_id, Field(field.name, field.table, field.column, field.key), value)


def _plain(value: Any) -> Any:
    """Return a value as a column can hold it."""
    return value if isinstance(value, (str, bytes, int, float, type(None))) else json.dumps(value)


def _changed(field: Field, before: str, value: Any) -> str:
    """Return JSON with a part of it changed."""
    whole = value
    if field.path:
        with contextlib.suppress(TypeError, LookupError, ValueError):  # it is not there after another change
            whole = json.loads(json.loads(before) if field.is_in_text else before)
            part = whole
            for step in field.path[:-1]:
                part = part[int(step)] if isinstance(part, list) else part[step]
            part[int(field.path[-1]) if isinstance(part, list) else field.path[-1]] = value
    text = json.dumps(whole)
    return json.dumps(text) if field.is_in_text else text


def write_hostile_storage(trap: Trap) -> list[str]:
    """Write the storage and return the names of its studies, as far as they can be typed.

    Beside the hostile ones there is the honest one, which everything is to be said of.
    """
    honest = honest_study(trap)
    known = values(trap)
    turns = itertools.cycle(known.items())
    names = []
    with contextlib.closing(sqlite3.connect(trap.root / "hostile.db")) as database, database:
        writer = _Writer(database, honest._study_id)

        def copy(name: str) -> int:
            names.append(name)
            return writer.copy(name)

        for number, field in enumerate(FIELDS):
            for _ in range(1 if field.path else 2):
                called, value = next(turns)
                if field.name == "name":
                    continue
                writer.write(copy(f"{number:03d}-{called}"), field, value)
        garbled = [field for field in FIELDS if field.is_json and not field.path] + [
            field for field in FIELDS if field.name == "distribution_json"
        ]
        for field, raw in zip(garbled, itertools.cycle(RAW), strict=False):
            writer.write_raw(copy(f"raw-{FIELDS.index(field):03d}"), field, raw)
        for called, value in known.items():
            study_id = copy(f"all-{called}")
            for field in FIELDS:
                if field.name != "name":
                    writer.write(study_id, field, value)
            if isinstance(value, str):
                study_id = copy(f"texts-{called}")
                for field in FIELDS:
                    if field.name.endswith(TEXTS):
                        writer.write(study_id, field, value)
                names.append(value)  # as a name of its own
                writer.write(writer.copy(f"to-be-renamed-{called}"), FIELDS[0], value)
        for called in ("..", ".", "../..", str(trap.outside), "autotune.db", "datasets", "linked"):
            names.append(called)
            writer.copy(called)
        for called, table in (("no-direction", "study_directions"), ("no-attributes", "study_user_attributes")):
            database.execute(f"DELETE FROM {table} WHERE study_id = ?", (copy(called),))
        database.execute("UPDATE trial_values SET value = NULL WHERE trial_id = (SELECT MAX(trial_id) FROM trials)")
    _lay_links(trap, [name for name in names if "/" not in name and "\0" not in name and len(name) < 100])
    return names


def _lay_links(trap: Trap, names: list[str]) -> None:
    """Fill the run dir that the studies name, which is somebody else's, with links to the files outside."""
    for name in names:
        with contextlib.suppress(OSError, UnicodeEncodeError):
            folder = trap.evil / name
            (folder / "trials" / "00004").mkdir(parents=True)
            (folder / "trials" / "00004" / "model.keras").symlink_to(trap.outside / "model.keras")
            (folder / "artifacts").mkdir()
            (folder / "artifacts" / _ID).symlink_to(trap.outside / "history.json")
            (folder / "workers").symlink_to(trap.outside)
    (trap.run_dir / "linked").symlink_to(trap.outside)
    _claim_to_be_known(trap, names)


def _claim_to_be_known(trap: Trap, names: list[str]) -> None:
    """Leave the studies' token in their folders, as somebody else can: in files that are not this user's."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return  # only root makes files of others
    for name in names:
        tokens = trap.evil / name / "tokens.txt"
        with contextlib.suppress(OSError, UnicodeEncodeError):
            tokens.write_text("0123abcd\n")
            os.chown(tokens, 12345, 12345)


if __name__ == "__main__":
    place = Path(sys.argv[1]).absolute()
    place.mkdir(parents=True)
    print(len(write_hostile_storage(new_trap(place))), "studies in", place / "hostile.db")
