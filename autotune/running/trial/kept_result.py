"""The result of a plain objective, kept on disk until it is in the storage.

After the objective has returned and before its value is stored, the parent may be killed or the storage be unreachable.
A Keras trial then resumes from its last checkpoint. A plain objective has none, so this file takes its place.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from autotune.running.study import StudySource
from autotune.running.trial.piped_trial import PipedTrial


class KeptResult:
    """The file with the result of one trial. It is valid only for the same code, seed, number and parameters.

    Args:
        path: The path of the file.
        source: The study's code.
        seed: The study's seed.
        trial: The trial.
    """

    def __init__(self, path: Path, source: StudySource, seed: int, trial: PipedTrial) -> None:
        self._path = path
        self._facts = [source.digest, repr(source.overrides), seed, trial.number]
        self._trial = trial

    def read(self) -> float | None:
        """Return the kept value; None if there is none, or it belongs to another trial or other code.

        This also sends the trial's reports and attributes to the parent again, because a parent that was killed may not
        have stored them.
        """
        identity = self._identity()  # asks the parent now, while it can surely answer
        try:
            kept: dict[str, Any] = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return None
        if kept.get("identity") != identity:
            return None
        self._trial.tell_again(kept.get("told", []))
        value: float = kept["value"]
        return value

    def write(self, value: float) -> None:
        """Keep a value. If the disk is full, nothing is kept, and the objective may have to run again."""
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps({"identity": self._identity(), "value": value, "told": self._trial.told}))
            os.replace(beside, self._path)

    def _identity(self) -> str:
        params = sorted(self._trial.stored_params().items())
        return hashlib.sha256(json.dumps([*self._facts, params], default=repr).encode()).hexdigest()
