"""All errors that autotune raises on purpose, with one base class.

An error answers three questions, each in a line or two: what happened, what was expected, how to fix it.
"""

from __future__ import annotations

from autotune.escaping import escaped

_MOST_WHY = 200  # characters
_SOME_STUDY = "a study in the storage"


class AutotuneError(Exception):
    """Base class of all errors raised on purpose.

    Args:
        happened: What happened, with the offending value in it.
        expected: What was expected instead, with the choices there are.
        fix: What the reader can do about it.
    """

    def __init__(self, happened: str, expected: str, fix: str) -> None:
        super().__init__(happened, expected, fix)
        self.happened = happened
        self.expected = expected
        self.fix = fix

    def __str__(self) -> str:
        lines = [f"{type(self).__name__}: {escaped(self.happened)}"]
        lines += [f"  {line}" for part in (self.expected, self.fix) for line in escaped(part).split("\n")]
        return "\n".join(lines)


class UsageError(AutotuneError):
    """A mistake that the user can correct. The command line exits with 2."""


class StudyFileError(UsageError):
    """A study file is missing, cannot be run, or declares something that cannot work."""


class DataError(UsageError):
    """A dataset is missing or damaged, or it cannot be split as the study file asks."""


class DamagedStoreError(DataError):
    """Stored rows or folds have changed since they were written. The next run of the study writes them again."""


class StorageError(UsageError):
    """A storage URL or a run directory cannot be used."""


class StoredStudyError(UsageError):
    """The storage holds a study that cannot be read: a value is missing, has the wrong type or is out of range."""

    def named(self, study: str) -> StoredStudyError:
        """Return the same error with the name of the study in its message."""
        happened = self.happened.replace(_SOME_STUDY, f"the study {study[:_MOST_WHY]!r}", 1)
        return StoredStudyError(happened, self.expected, self.fix)


class StudyChangedError(UsageError):
    """The study file declares another search space, split or score than the stored study has."""


class TrainingError(UsageError):
    """A training gives no score: the metric is unknown, or `fit` does not accept an argument."""


class KeepingError(UsageError):
    """An objective uses `autotune.kept`, `autotune.keep` or `autotune.KeepEpochs` in a way that cannot work."""


class SearchSpaceError(UsageError):
    """A hyperparameter cannot be stored as it is, or a given configuration lies outside the search space."""


class StudyFailedError(AutotuneError):
    """The study stopped because its trials kept failing. The command line exits with 1."""


class DiskFullError(AutotuneError):
    """A disk or a quota is full. What was finished is kept; the command line exits with 1."""


class ResourceLimitError(AutotuneError):
    """This process has no files, processes, threads or memory left to use. The command line exits with 1."""


class StorageLostError(AutotuneError):
    """The file of a storage was deleted, moved or replaced while it was in use. The command line exits with 1."""


class DivergedError(AutotuneError):
    """The loss or the monitored metric became NaN or infinite; the trial fails with the reason "nan"."""


class ExportError(UsageError):
    """A model cannot be loaded with Keras alone."""


def not_understood(study: str | None, why: str) -> StoredStudyError:
    """Return the error for a stored study that cannot be read.

    Args:
        study: The name of the study; None if it is not known.
        why: What is wrong with the study; only the first line is shown.
    """
    lines = why.strip().splitlines()
    named = _SOME_STUDY if study is None else f"the study {study[:_MOST_WHY]!r}"
    return StoredStudyError(
        f"{named} cannot be understood: {(lines[0] if lines else 'it makes no sense')[:_MOST_WHY].rstrip('.')}.",
        "Its record in the storage is damaged, comes from another version, or was changed by another program.",
        "Start another study with --name, or delete this one: optuna delete-study --study-name NAME --storage URL",
    )


class ParentGoneError(ConnectionError):
    """A trial process has lost its parent, so nobody is left to read its messages.

    It is a class of its own because a `ConnectionError` of the study file's code is an ordinary error of the trial.
    """
