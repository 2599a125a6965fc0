"""What a study remembers of its runs, in one user attribute of the Optuna study."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NoReturn, TypeVar

import optuna
from optuna.distributions import BaseDistribution

from autotune.errors import StoredStudyError, StudyChangedError, not_understood
from autotune.parsing import UNREADABLE, NotUnderstoodError, parsed
from autotune.search.history import differences
from autotune.study import Overrides
from autotune.study_name import is_study_name

ATTRIBUTE = "autotune"
IN_RUN_DIR = "run-dir"
"""Said in place of a folder of event files: RUN_DIR/NAME/tensorboard."""
WHY_OVER = "why_over"
"""The user attribute of a study that has ended although trials are missing."""

_T = TypeVar("_T")
_SHOWN = 100
_LARGEST = 10**9
_TOKEN = re.compile(r"[0-9A-Za-z]{0,64}")

# A trial's value cannot be compared with that of a trial for which one of these was different.
_DECISIVE = {
    "split": "the data or their split",
    "train_fraction": "the fraction of the training rows",
    "seed": "the seed",
    "epochs": "the number of epochs",
    "epochs_per_pass": "the number of epochs of a pass",
    "monitor": "the monitored metric",
    "epoch_policy": "the epoch policy",
    "minimize": "what else is to be small",
}


@dataclass(frozen=True)
class StudySettings:
    """What is needed to go on with a study by its name alone, and to see whether it is still the same study.

    Attributes:
        study_file: The study file, absolute; None for a study made in Python.
        n_trials: How many finished trials the study is to have.
        n_trials_given: Whether that came from the command line rather than the study file.
        overrides: What the command line said in place of the study file.
        seed: The study's seed.
        epochs: Epochs of each fold.
        monitor: The monitored metric; None for a plain objective.
        epoch_policy: Which epoch counts.
        split: A hash of the data and its split; None for a plain objective.
        threads: Threads of each trial; the same in every run, since they decide the last bits of its numbers.
        data_dir: Where datasets are looked for first.
        run_dir: Where the study's files are.
        study_digest: A hash of the code that it began with.
        artifacts: Where its checkpoints are copied to, for other machines; None for nowhere.
        token: What tells it from other studies of its name, of other storages, in the same artifact store.
        max_retries: How often a trial may be lost without having reported anything new in between.
        train_fraction: Share of the training rows that trials of the search train on.
        epochs_per_pass: In how many epochs training goes once through its rows.
        minimize: What else is to be small, in the order of the objectives after the first.
        tensorboard: The folder of event files, or "run-dir" for the study's own; None for none.
        mlflow: The tracking URI of MLflow that trials are logged to; None for none.
        question: What the study asks: the docstring of its file.
        data: Its data and their split, in words.
        leaks: What is known of its rows to validate on from training, in words; empty if nothing is.
        part_of: The study whose configurations this one trains again; None for a study of its own.
    """

    study_file: str | None
    n_trials: int
    n_trials_given: bool
    overrides: Overrides
    seed: int
    epochs: int
    monitor: str | None
    epoch_policy: str
    split: str | None
    threads: int
    data_dir: str | None
    run_dir: str
    study_digest: str = ""
    artifacts: str | None = None
    token: str = ""
    max_retries: int = 2
    part_of: str | None = None
    train_fraction: float = 1.0
    epochs_per_pass: int = 1
    tensorboard: str | None = None
    mlflow: str | None = None
    question: str = ""
    data: str = ""
    leaks: str = ""
    minimize: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("study_file", "data_dir", "run_dir"):
            value = getattr(self, name)
            if value is not None and not os.path.isabs(value):
                raise ValueError(f"the {name} {ascii(value)[:_SHOWN]} is not absolute")
        for name in ("overrides.name", "part_of"):
            value = attrgetter(name)(self)
            if value is not None and not is_study_name(value):
                raise ValueError(f"{name} is {ascii(value)[:_SHOWN]}, which cannot name a study")
        for name, least in (("n_trials", 0), ("threads", 1), ("epochs", 0), ("epochs_per_pass", 1), ("max_retries", 0)):
            if not least <= getattr(self, name) <= _LARGEST:
                raise ValueError(f"{name} is {getattr(self, name)}")
        if not _TOKEN.fullmatch(self.token):
            raise ValueError(f"the token is {ascii(self.token)[:_SHOWN]}")


def read_settings(study: optuna.Study) -> StudySettings | None:
    """Return what a study remembers; None if it was never run by this package.

    Raises:
        StoredStudyError: If it remembers what cannot be understood.
    """
    return settings_from(study.user_attrs.get(ATTRIBUTE), study.study_name)


def settings_from(stored: Any, name: str | None = None) -> StudySettings | None:
    """Return the settings that `write_settings` has stored, in this version or an older one; None of None.

    Args:
        stored: What is stored.
        name: The study's name, for messages.

    Raises:
        StoredStudyError: If it cannot be understood.
    """
    if stored is None:
        return None
    try:
        return parsed(StudySettings, stored, "its record of settings")
    except NotUnderstoodError as error:
        raise not_understood(name, str(error)) from error


def read_record(study: optuna.Study, attribute: str, kind: type[_T]) -> _T | None:
    """Return a record that is a user attribute of a study; None if there is none.

    Raises:
        StoredStudyError: If it cannot be understood.
    """
    stored = study.user_attrs.get(attribute)
    try:
        return None if stored is None else parsed(kind, stored, f"its record {attribute!r}")
    except NotUnderstoodError as error:
        raise not_understood(study.study_name, str(error)) from error


@contextlib.contextmanager
def understanding(name: str) -> Iterator[None]:
    """Read records of a study that anybody may have written, and say so where they make no sense.

    Raises:
        StoredStudyError: In place of errors that nothing but such a record can lead to.
    """
    try:
        yield
    except StoredStudyError as error:
        raise error.named(name) from error
    except UNREADABLE as error:
        raise not_understood(name, f"{type(error).__name__}: {error}") from error


def write_settings(study: optuna.Study, settings: StudySettings) -> None:
    """Make the study remember `settings`."""
    as_dict = dataclasses.asdict(settings)
    if study.user_attrs.get(ATTRIBUTE) != as_dict:
        study.set_user_attr(ATTRIBUTE, as_dict)


def refuse_changes(name: str, before: StudySettings, now: StudySettings, space_changes: list[str]) -> None:
    """Refuse to add trials that could not be compared with the study's own.

    Raises:
        StudyChangedError: If the search space, the split, or what a value means is not what it was.
    """
    lines = list(space_changes)
    for attribute, words in _DECISIVE.items():
        old, new = getattr(before, attribute), getattr(now, attribute)
        if old != new:
            shown = attribute != "split"
            lines.append(f"{words}: was {old!r}, is now {new!r}" if shown else f"{words} changed")
    if lines:
        refuse(name, lines)


@dataclass(frozen=True)
class KnownSpace:
    """The search space of an objective's stored trials, to be kept by an objective that was edited since.

    Attributes:
        distributions: The distribution of each parameter; None for one that has varied from trial to trial.
        everywhere: Parameters that every finished trial has.
    """

    distributions: Mapping[str, BaseDistribution | None]
    everywhere: frozenset[str]

    def refuse_new(self, study: str, name: str, distribution: BaseDistribution) -> None:
        """Refuse a parameter that is new or has another distribution than before.

        Raises:
            StudyChangedError: If it is.
        """
        if name not in self.distributions:
            refuse(study, differences({}, {name: distribution}))
        before = self.distributions[name]
        if before is not None and (lines := differences({name: before}, {name: distribution})):
            refuse(study, lines)

    def refuse_gone(self, study: str, names: Iterable[str]) -> None:
        """Refuse a finished trial, with the parameters `names`, that lacks one which all before it had.

        Raises:
            StudyChangedError: If it does.
        """
        gone = {name: self.distributions[name] for name in self.everywhere - set(names)}
        if lines := differences({name: d for name, d in gone.items() if d is not None}, {}):
            refuse(study, lines)


def refuse(name: str, lines: list[str]) -> NoReturn:
    """Refuse to go on with a study that is not what it was, saying in `lines` what is different."""
    raise StudyChangedError(
        f"the study {name!r} was started with other settings than it has now:",
        "\n".join(lines),
        "Its trials could not be compared. Change the study file or the options back, or start a new study with "
        "--name NEW_NAME.",
    )
