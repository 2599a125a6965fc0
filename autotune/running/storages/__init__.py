"""Optuna's storages: opened, made quick, waited for, served to other machines.

A storage that is away is waited for; one that is lost is saved and named. Who only looks writes nothing.

url             What the URL of a storage says, and how it may be shown
outages         Which errors of a storage mean that it is away for now, and in which words to say so
watched_file    The file of a storage that is in use, watched
journal         Optuna's journal file, opened so that no process that dies can leave it locked or torn
tables          Optuna's own tables, which other projects are not promised, as the storages here read and write them
rows            The trials of a study, read from the tables of Optuna's databases
stored_studies  The studies of a storage, read from the tables of Optuna's databases, each by itself
quick           Optuna's storage on a database, quicker where a running study asks it most
patience        How long a storage is waited for while it is away, and what is said of it
patient         A storage that is waited for while it is away: a database that restarts, a network that comes back
sqlite          Optuna's storage on an SQLite file, opened so that slots and processes can share it
postgresql      Optuna's storage on PostgreSQL: trials are made and ended in two requests and in one
opening         Optuna storages, opened so that many slots and many processes can share them
serving         Optuna's gRPC proxy in front of a storage
"""

from autotune.running.storages.opening import (
    open_existing_storage,
    open_storage,
    open_to_look,
    saved_storage,
    shown_url,
    sqlite_url,
)
from autotune.running.storages.outages import is_refusal, reason
from autotune.running.storages.patience import Patience
from autotune.running.storages.patient import PatientStorage
from autotune.running.storages.serving import serve_storage
from autotune.running.storages.url import parse_url, storage_file, storage_folder

__all__ = [
    "Patience",
    "PatientStorage",
    "is_refusal",
    "open_existing_storage",
    "open_storage",
    "open_to_look",
    "parse_url",
    "reason",
    "saved_storage",
    "serve_storage",
    "shown_url",
    "sqlite_url",
    "storage_file",
    "storage_folder",
]
