"""The inputs of a study's runs (code, storage, folders, budget), and the settings that the study stores.

A file or folder that only the storage names is used only if this user has used it on this machine before.

places       The storage, the run dir and the data dir of a study, from options, environment variables or defaults
source       The code of a study, in a form that is sent to the processes that run it
settings     The settings that a study stores about its runs, in one user attribute of the Optuna study
budget       The number of trials that a study should have, and the rule to stop before
trust        The study files that this user has run on this machine: others that a storage names need a confirmation
study_files  The folder of a stored study's files, and the check that this user has used it before
"""

from autotune.running.study.budget import FINISHED, Budget
from autotune.running.study.places import Places, find_places, make_writable, options_of_places, ray_address
from autotune.running.study.settings import (
    ATTRIBUTE,
    IN_RUN_DIR,
    WHY_OVER,
    KnownSpace,
    StudySettings,
    read_record,
    read_settings,
    refuse,
    refuse_changes,
    settings_from,
    understanding,
    write_settings,
)
from autotune.running.study.source import StudySource, digest_of_code, objects_of, overridden_source, study_source
from autotune.running.study.study_files import (
    folder_to_look_at,
    is_store_of_here,
    leave_elsewhere,
    leave_token,
    places_of_study,
    refuse_elsewhere,
)
from autotune.running.study.trust import UntrustedFileError, record_trust, source_named_by_storage

__all__ = [
    "ATTRIBUTE",
    "FINISHED",
    "IN_RUN_DIR",
    "WHY_OVER",
    "Budget",
    "KnownSpace",
    "Places",
    "StudySettings",
    "StudySource",
    "UntrustedFileError",
    "digest_of_code",
    "find_places",
    "folder_to_look_at",
    "is_store_of_here",
    "leave_elsewhere",
    "leave_token",
    "make_writable",
    "objects_of",
    "options_of_places",
    "overridden_source",
    "places_of_study",
    "ray_address",
    "read_record",
    "read_settings",
    "record_trust",
    "refuse",
    "refuse_changes",
    "refuse_elsewhere",
    "settings_from",
    "source_named_by_storage",
    "study_source",
    "understanding",
    "write_settings",
]
