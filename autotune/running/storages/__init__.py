"""Optuna's storages, with faster requests, waiting for unreachable ones, and a proxy for other machines.

All requests wait for a storage that is unreachable. If the file of a storage is lost, its content is saved. Commands
that only read write nothing.

url             The parts of a storage's URL, and the URL without passwords
outages         The errors of a storage that mean that it is unreachable for now, and their reasons
watched_file    A check that the file of an open storage was not deleted, moved or replaced
journal         Optuna's journal file, which a process that dies cannot leave locked or damaged
tables          Optuna's private tables, as the storages here read and write them
rows            The trials of a study, read from the tables of Optuna's databases
stored_studies  The studies of a storage, read from the tables of Optuna's databases
quick           Optuna's storage on a database, with fewer requests for frequent calls
patience        How long to wait for an unreachable storage, and the messages about it
patient         A storage whose requests wait while it is unreachable, e.g. while a database restarts
sqlite          Optuna's storage on an SQLite file that slots and processes share
postgresql      Optuna's storage on PostgreSQL, which creates a trial in two requests and ends it in one
opening         Opening of Optuna's storages by URL, so that many slots and processes can share them
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
