"""The origin of a result: versions, code, data and machine."""

from __future__ import annotations

import datetime
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from autotune.data.stored import facts_of_stored
from autotune.distribution import VERSION
from autotune.running.processes import Gpu
from autotune.running.study import StudySettings
from autotune.running.trial import Rows

_PACKAGES = ("keras", "numpy", "optuna", "scikit-learn", "tensorflow")


def provenance(settings: StudySettings, rows: Rows | None, gpus: Sequence[Gpu]) -> dict[str, Any]:
    """Return the information that is needed to repeat a result, as values for JSON.

    Args:
        settings: The study's stored settings.
        rows: The stored rows; None for a plain objective.
        gpus: The GPUs that it ran on; empty for the CPU.
    """
    return {
        "seed": settings.seed,
        "threads": settings.threads,
        "split": settings.split,
        "data": facts_of_stored(rows.dataset) if rows else None,
        "study_file": settings.study_file,
        "study_digest": settings.study_digest,
        "commit": _commit(Path(settings.study_file)) if settings.study_file else None,
        "versions": versions(),
        "device": [gpu.name for gpu in gpus] or [_processor()],
        "platform": platform.platform(),
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages that decide a result; None for one that is not installed."""
    own = {"python": platform.python_version(), "autotune": VERSION}
    return own | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit(study_file: Path) -> dict[str, Any] | None:
    """Return the commit of the repository that holds the study file; None if there is none."""
    commit = _git(study_file.parent, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(study_file.parent, "status", "--porcelain", "--", study_file.name)
    return {"hash": commit, "study_file_has_changed": bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except OSError:  # there is no git
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
