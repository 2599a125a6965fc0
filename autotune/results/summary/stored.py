"""The settings of stored studies, and the code that they were started from."""

from __future__ import annotations

import dataclasses

import optuna

from autotune.errors import UsageError
from autotune.running.study import StudySettings, StudySource, read_settings, source_named_by_storage, study_source
from autotune.study import StudySpec


def settings_of(study: optuna.Study) -> StudySettings:
    """Return the stored settings of a study.

    Raises:
        UsageError: If this package never ran it.
    """
    settings = read_settings(study)
    if settings is None:
        raise UsageError(
            f"the study {study.study_name!r} was never run by this package.",
            "Only studies that `autotune run` has run have the settings that this command needs.",
            "Run it first: autotune run STUDY_FILE",
        )
    return settings


def refuse_part(study: optuna.Study, settings: StudySettings, command: str) -> None:
    """Refuse a study of repeats or refits if `command` needs a search.

    Raises:
        UsageError: If it is one.
    """
    if settings.part_of is not None:
        raise UsageError(
            f"the study {study.study_name!r} trains configurations of {settings.part_of!r} again.",
            f"`autotune {command}` is for searches.",
            f"autotune {command} {settings.part_of}",
        )


def source_of(study: StudySpec | str, settings: StudySettings, trust: bool) -> StudySource:
    """Return the code of a study as it was run, or of the study that it is a part of.

    Args:
        study: Its name, or the study itself.
        settings: Its stored settings.
        trust: Whether to run the study file that the storage names even if it has not run on this machine before.

    Raises:
        UsageError: If the study is given by its name, and it has no study file or one that is not trusted.
    """
    if isinstance(study, StudySpec):
        return dataclasses.replace(study_source(study), overrides=settings.overrides)
    if settings.study_file is None:
        raise UsageError(
            f"the study {study!r} remembers no study file.",
            "Only a study that was started from a study file can be given by its name.",
            "Call the same function from Python, with the StudySpec in place of the name.",
        )
    overrides = dataclasses.replace(settings.overrides, name=settings.part_of or study)
    return dataclasses.replace(source_named_by_storage(settings.study_file, study, trust), overrides=overrides)
