"""The final result of a study, as its storage keeps it: the claim to the test rows, and what was found on them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import optuna

from autotune.errors import UsageError
from autotune.results.final.confirmation import Confirmation
from autotune.results.final.statistics import Estimate
from autotune.running.study import read_record

_CLAIM = "autotune:test_rows"
_RESULT = "autotune:final"


@dataclass(frozen=True)
class TestScore:
    """What the refitted winner scores on the test rows.

    Attributes:
        metric: The metric, as Keras names it.
        n_rows: How many test rows there are.
        values: The score of each training, one a seed.
        estimate: Their mean and its 95 % interval, over seeds and over rows.
        baseline: The mean of the baseline, trained the same way; None without a baseline, or if that has won.
        versus_baseline: How much better the winner is, in pairs, larger than 0 if better; None likewise.
        opened: When the test rows were opened, UTC.
        others: The means of what else the winner was compiled with, by name.
        unmeasured: The metric that was monitored, where a callback makes it: on test rows nobody calls callbacks, and
            `metric` is the loss. None where it was measured.
    """

    metric: str
    n_rows: int
    values: tuple[float, ...]
    estimate: Estimate
    baseline: float | None
    versus_baseline: Estimate | None
    opened: str
    others: Mapping[str, float] = field(default_factory=dict)
    unmeasured: str | None = None

    @property
    def why_unmeasured(self) -> str:
        """What to say of a monitored metric that was not measured; "" where it was."""
        if self.unmeasured is None:
            return ""
        return f"{self.unmeasured} is not measured on the test rows, because it is computed by a callback"


@dataclass(frozen=True)
class FinalResult:
    """What a study has found.

    Attributes:
        study: The study's name.
        direction: "maximize" or "minimize".
        monitor: The metric that candidates were confirmed by; None for a plain objective.
        confirmation: The candidates, trained again.
        test: The score on the test rows; None for a plain objective, or a dataset without test rows.
        models: The winner's refitted models: one a seed, a single one without test rows, none for a plain objective.
        epochs: For how many epochs each was trained; None without models.
        provenance: What it was made with, as in `autotune.results.summary.provenance`.
    """

    study: str
    direction: str
    monitor: str | None
    confirmation: Confirmation
    test: TestScore | None
    models: tuple[str, ...]
    epochs: int | None
    provenance: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON can hold it."""
        return asdict(self)


def read_result(study: optuna.Study) -> FinalResult | None:
    """Return the result that was recorded; None if there is none.

    Raises:
        StoredStudyError: If it cannot be understood.
    """
    return read_record(study, _RESULT, FinalResult)


def record_result(study: optuna.Study, result: FinalResult) -> None:
    """Keep the result in the study."""
    study.set_user_attr(_RESULT, result.as_dict())


def claim_test_rows(study: optuna.Study, models: Sequence[str]) -> str:
    """Write down that the test rows are opened for these models, before they are.

    Args:
        study: The study.
        models: A digest of each model.

    Returns:
        When they were first opened, UTC. Opening them for the same models again is the same look.

    Raises:
        UsageError: If they were opened for other models.
    """
    claim = read_record(study, _CLAIM, dict[str, Any])
    if claim is None:
        opened = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        claim = {"models": list(models), "opened": opened}
        study.set_user_attr(_CLAIM, claim)
    if claim["models"] != list(models):
        raise UsageError(
            f"the test rows of {study.study_name!r} were opened at {claim['opened']} for other models than these.",
            "They are looked at once: a second look would be a choice among results.",
            "Put the models of that time back, or start a new study with --name and other test rows.",
        )
    return str(claim["opened"])
