"""The stored final result of a study, and the claim to the test rows."""

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
    """The score of the refitted winner on the test rows.

    Attributes:
        metric: The metric, by Keras's name.
        n_rows: Number of test rows.
        values: The score of each refit, one for each seed.
        estimate: Their mean and its 95 % interval, over seeds and over rows.
        baseline: The mean of the baseline's refits; None if there is no baseline, or if the baseline won.
        versus_baseline: The paired difference between winner and baseline, larger than 0 if the winner is better; None
            like `baseline`.
        opened: The time when the test rows were opened, UTC.
        others: The means of the winner's other compiled metrics, by name.
        unmeasured: The monitored metric, if a callback computes it, so that it cannot be measured on the test rows and
            `metric` is the loss; None if it was measured.
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
        """A sentence on a monitored metric that was not measured; "" if it was measured."""
        if self.unmeasured is None:
            return ""
        return f"{self.unmeasured} is not measured on the test rows, because it is computed by a callback"


@dataclass(frozen=True)
class FinalResult:
    """The final result of a study.

    Attributes:
        study: The study's name.
        direction: "maximize" or "minimize".
        monitor: The metric that candidates were confirmed by; None for a plain objective.
        confirmation: The candidates, trained again.
        test: The score on the test rows; None for a plain objective, or a dataset without test rows.
        models: The winner's refitted models: one for each seed; one without test rows; none for a plain objective.
        epochs: Number of epochs of each refit; None without models.
        provenance: Its origin, from `autotune.results.summary.provenance`.
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
        """Return the result as values for JSON."""
        return asdict(self)


def read_result(study: optuna.Study) -> FinalResult | None:
    """Return the recorded result; None if there is none.

    Raises:
        StoredStudyError: If the record cannot be read.
    """
    return read_record(study, _RESULT, FinalResult)


def record_result(study: optuna.Study, result: FinalResult) -> None:
    """Store the result in the study."""
    study.set_user_attr(_RESULT, result.as_dict())


def claim_test_rows(study: optuna.Study, models: Sequence[str]) -> str:
    """Record that the test rows will be opened for these models; call this before reading them.

    Args:
        study: The study.
        models: A digest of each model.

    Returns:
        The time when they were first opened, UTC. They may be opened again for the same models.

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
            "They are read once, because a second result would allow a choice among results.",
            "Restore the models of that time, or start a new study with --name and other test rows.",
        )
    return str(claim["opened"])
