"""What the runs of a study are given, and what they remember of it.

What a storage says of files and folders is believed only where this machine has said the same.

places       Where a study's records and files are: the one place that reads environment variables
source       How a study's code reaches the processes that run it
settings     What a study remembers of its runs, in one user attribute of the Optuna study
budget       How many trials there are to be, and when there need not be so many
trust        Which study files this user has run on this machine: what else a storage names is not run unasked
study_files  Where the files of a stored study are, and when a storage is believed about that
"""

from autotune.running.study.budget import FINISHED, Budget
from autotune.running.study.places import Places, find_places, make_writable, ray_address
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
from autotune.running.study.source import StudySource, objects_of, study_source
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
    "find_places",
    "folder_to_look_at",
    "is_store_of_here",
    "leave_elsewhere",
    "leave_token",
    "make_writable",
    "objects_of",
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
