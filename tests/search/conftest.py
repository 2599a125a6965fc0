"""What the tests of searching share: a storage that outlives a restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend


@pytest.fixture
def reopened(tmp_path: Path) -> Callable[[], BaseStorage]:
    """Give a function that opens one storage anew, as after a restart: a journal, since databases open slowly."""
    return lambda: JournalStorage(JournalFileBackend(str(tmp_path / "search.log")))
