"""The settings that a study stores about its runs, in one user attribute of the Optuna study."""

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
"""The stored value for the default folder of event files, RUN_DIR/NAME/tensorboard."""
WHY_OVER = "why_over"
"""The user attribute with the reason of a study that has ended before its budget was used up."""

_T = TypeVar("_T")
_SHOWN = 100
_LARGEST = 10**9
_TOKEN = re.compile(r"[0-9A-Za-z]{0,64}")

# If one of these differs between two trials, their values cannot be compared.
_DECISIVE = {
    "split": "the data or their split",
    "train_fraction": "the fraction of the training rows",
    "seed": "the seed",
    "epochs": "the number of epochs",
    "epochs_per_pass": "the number of epochs of a pass",
    "monitor": "the monitored metric",
    "epoch_policy": "the epoch policy",
    "minimize": "the costs to minimize",
}


@dataclass(frozen=True)
class StudySettings:
    """The settings that are needed to resume a study by its name alone, and to check that it is still the same study.

    Attributes:
        study_file: The study file, absolute; None for a study made in Python.
        n_trials: The number of finished trials that the study should have.
        n_trials_given: Whether that came from the command line and not from the study file.
        overrides: The settings that the command line gave in place of the study file's.
        seed: The study's seed.
        epochs: Epochs of each fold.
        monitor: The monitored metric; None for a plain objective.
        epoch_policy: The rule for the epoch whose value counts.
        split: A hash of the data and its split; None for a plain objective.
        threads: Threads of each trial; the same in every run, because they influence the last bits of its numbers.
        data_dir: The folder in which datasets are looked for first.
        run_dir: The folder with the study's files.
        study_digest: A hash of the code at the study's start.
        artifacts: The store to which its checkpoints are copied, for other machines; None for no copies.
        token: A random text that tells it from studies with the same name in other storages.
        max_retries: How often a trial may be lost without a new report in between.
        train_fraction: The fraction of the training rows that trials of the search train on.
        epochs_per_pass: The number of epochs in which training uses each of its rows once.
        minimize: The costs to minimize, in the order of the objectives after the first.
        tensorboard: The folder of event files, or "run-dir" for the study's own; None for none.
        mlflow: The tracking URI of MLflow to which trials are logged; None for none.
        question: The docstring of the study file.
        data: A text that describes its data and their split.
        leaks: A warning about validation rows that are also training rows; empty if there are none.
        guesses_baseline: Whether the baseline is a guess; it was none in studies of older versions.
        usual: The usual values of `autotune.spaces` when the study began, which are a guess; empty for no such guess.
        part_of: The study whose configurations this one trains again; None if this is a search of its own.
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
    guesses_baseline: bool = False
    usual: Mapping[str, Any] = dataclasses.field(default_factory=dict)
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
    """Return the stored settings of a study; None if this package has never run it.

    Raises:
        StoredStudyError: If they cannot be understood.
    """
    return settings_from(study.user_attrs.get(ATTRIBUTE), study.study_name)


def settings_from(stored: Any, name: str | None = None) -> StudySettings | None:
    """Return the settings that `write_settings` of this version or an older one has stored.

    Args:
        stored: The stored value; for None this returns None.
        name: The study's name, for messages.

    Raises:
        StoredStudyError: If the value cannot be understood.
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
    """Raise a `StoredStudyError` in place of errors that come from an invalid record of a study.

    Use it in a `with` block that reads records, which anybody with access to the storage may have written.

    Raises:
        StoredStudyError: If the block raises such an error.
    """
    try:
        yield
    except StoredStudyError as error:
        raise error.named(name) from error
    except UNREADABLE as error:
        raise not_understood(name, f"{type(error).__name__}: {error}") from error


def write_settings(study: optuna.Study, settings: StudySettings) -> None:
    """Store `settings` in the study, unless they are stored already."""
    as_dict = dataclasses.asdict(settings)
    if study.user_attrs.get(ATTRIBUTE) != as_dict:
        study.set_user_attr(ATTRIBUTE, as_dict)


def refuse_changes(name: str, before: StudySettings, now: StudySettings, space_changes: list[str]) -> None:
    """Check that new trials could be compared with the study's own.

    Raises:
        StudyChangedError: If the search space, or a setting in `_DECISIVE`, has changed.
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
    """The search space of an objective's stored trials, which an edited objective must not change.

    Attributes:
        distributions: The distribution of each parameter; None for a parameter whose distribution varies.
        everywhere: The parameters that every finished trial has.
    """

    distributions: Mapping[str, BaseDistribution | None]
    everywhere: frozenset[str]

    def refuse_new(self, study: str, name: str, distribution: BaseDistribution) -> None:
        """Check a parameter of a new trial.

        Raises:
            StudyChangedError: If it is new, or has another distribution than before.
        """
        if name not in self.distributions:
            refuse(study, differences({}, {name: distribution}))
        before = self.distributions[name]
        if before is not None and (lines := differences({name: before}, {name: distribution})):
            refuse(study, lines)

    def refuse_gone(self, study: str, names: Iterable[str]) -> None:
        """Check the parameters `names` of a finished trial.

        Raises:
            StudyChangedError: If they lack one that all finished trials before it had.
        """
        gone = {name: self.distributions[name] for name in self.everywhere - set(names)}
        if lines := differences({name: d for name, d in gone.items() if d is not None}, {}):
            refuse(study, lines)


def refuse(name: str, lines: list[str]) -> NoReturn:
    """Raise a `StudyChangedError` for a study; `lines` name the differences."""
    raise StudyChangedError(
        f"the study {name!r} was started with other settings than it has now:",
        "\n".join(lines),
        "The old and the new trials could not be compared. Change the study file or the options back, or start a new "
        "study with --name NEW_NAME.",
    )
