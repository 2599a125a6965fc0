"""What a plain objective has returned, kept on disk until it is in the storage.

A parent may be killed, or the storage be away, between the end of a trial and the moment in which its value is written
down. A Keras trial then finds its last checkpoint; this is the same for objectives that have none.
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
    """The result of one trial, of exactly this code, seed, number and parameters.

    Args:
        path: Where it is kept.
        source: The study's code.
        seed: The study's seed.
        trial: The trial.
    """

    def __init__(self, path: Path, source: StudySource, seed: int, trial: PipedTrial) -> None:
        self._path = path
        self._facts = [source.digest, repr(source.overrides), seed, trial.number]
        self._trial = trial

    def read(self) -> float | None:
        """Return the value that was kept; None if there is none, or it is of another trial or other code.

        What the trial had told its parent is told again: a parent that is killed may not have written it down.
        """
        identity = self._identity()  # asks the parent, as long as there is one
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
        """Keep a value. A disk that has no room for it costs a repetition at most."""
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps({"identity": self._identity(), "value": value, "told": self._trial.told}))
            os.replace(beside, self._path)

    def _identity(self) -> str:
        params = sorted(self._trial.stored_params().items())
        return hashlib.sha256(json.dumps([*self._facts, params], default=repr).encode()).hexdigest()
