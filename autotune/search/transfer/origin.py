"""The origin of a trial whose configuration comes from an earlier study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial

from autotune.parsing import parsed_or_none
from autotune.search.history import LEARNED_FROM

_LONGEST = 1_000  # characters of a URL and a name


@dataclass(frozen=True)
class Origin:
    """A configuration of an earlier study.

    Attributes:
        study: The name of the study; for a study of another storage with its URL, "URL#NAME".
        trial: The number of its trial.
        params: Its values. Those that the new search space cannot have are moved when they are suggested.
    """

    study: str
    trial: int
    params: Mapping[str, Any]

    def __post_init__(self) -> None:
        if len(self.study) > _LONGEST:
            raise ValueError(f"the name of its study has {len(self.study)} characters")


def origin_of(trial: FrozenTrial) -> Origin | None:
    """Return the origin of a trial; None if its configuration does not come from an earlier study."""
    return parsed_or_none(Origin, trial.user_attrs.get(LEARNED_FROM))
