"""Every error raised on purpose, under one base class.

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
    """Something the person who started the command can put right. The command line exits with 2."""


class StudyFileError(UsageError):
    """A study file that is missing, cannot be run, or declares something that cannot work."""


class DataError(UsageError):
    """A dataset that is missing, damaged, or cannot be split as asked."""


class DamagedStoreError(DataError):
    """Rows or folds on disk that are not as they were written. Whoever runs the study again writes them anew."""


class StorageError(UsageError):
    """A storage URL or a run directory that cannot be used."""


class StoredStudyError(UsageError):
    """A study in a storage that says something which cannot be understood, or what no study can say."""

    def named(self, study: str) -> StoredStudyError:
        """Return it with the study's name in it."""
        happened = self.happened.replace(_SOME_STUDY, f"the study {study[:_MOST_WHY]!r}", 1)
        return StoredStudyError(happened, self.expected, self.fix)


class StudyChangedError(UsageError):
    """The study file asks for another search space, split or score than the stored study has."""


class TrainingError(UsageError):
    """A study file whose training cannot be scored: an unknown metric, an unusable `fit` argument."""


class SearchSpaceError(UsageError):
    """A parameter that cannot be kept as it is, or a given configuration that is none of the search space."""


class StudyFailedError(AutotuneError):
    """The study stopped because its trials kept failing. The command line exits with 1."""


class DiskFullError(AutotuneError):
    """A disk or a quota is full. What was finished is kept; the command line exits with 1."""


class ResourceLimitError(AutotuneError):
    """Files, processes, threads or memory have run out for this process. The command line exits with 1."""


class StorageLostError(AutotuneError):
    """The file of a storage was deleted, moved or replaced while it was in use. The command line exits with 1."""


class DivergedError(AutotuneError):
    """The loss or the monitored metric became NaN or infinite; the trial fails with the reason "nan"."""


class ExportError(UsageError):
    """A model that needs more than Keras to be loaded."""


def not_understood(study: str | None, why: str) -> StoredStudyError:
    """Return the error for a study of which something that is stored makes no sense.

    Args:
        study: Its name; None where that is not known.
        why: What is wrong with it; only its first line is shown.
    """
    lines = why.strip().splitlines()
    named = _SOME_STUDY if study is None else f"the study {study[:_MOST_WHY]!r}"
    return StoredStudyError(
        f"{named} cannot be understood: {(lines[0] if lines else 'it makes no sense')[:_MOST_WHY].rstrip('.')}.",
        "What is stored of it is damaged or of another version, or somebody else has written to it.",
        "Start another study with --name, or delete this one: optuna delete-study --study-name NAME --storage URL",
    )


class ParentGoneError(ConnectionError):
    """A trial process has lost its parent: nobody is left to read this. What a study file's own connections raise is
    an error of its trial.
    """
