"""Fixtures that every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Give the folder of downloaded datasets, or skip the test where there is none."""
    beside_the_repository = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AUTOTUNE_DATA") or beside_the_repository).resolve()
    if not folder.is_dir():
        pytest.skip(f"no folder of datasets at {folder}; name one in AUTOTUNE_DATA")
    return folder
