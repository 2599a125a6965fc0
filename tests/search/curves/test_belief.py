"""What the model believes of curves: how they end, which of them leads, and what a trial has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from autotune.search.curves import Belief, CurvePruner, Training, believe, predicted_best
from autotune.study import EpochPolicy

EPOCHS = 20
SPACE = {"x": FloatDistribution(0.0, 1.0)}


def study_of(curves: Sequence[Sequence[float]], space: dict[str, FloatDistribution] = SPACE) -> optuna.Study:
    """Return a study whose trials have these curves; one of fewer than 20 epochs was stopped."""
    study = optuna.create_study(direction="maximize")
    for n, curve in enumerate(curves):
        reports = dict(enumerate(curve, start=1))
        state = TrialState.COMPLETE if len(curve) == EPOCHS else TrialState.PRUNED
        value = curve[-1] if state == TrialState.COMPLETE else None
        x = round(n / (len(curves) - 1)) * 0.9 if space["x"].step else n / (len(curves) - 1)
        study.add_trial(
            optuna.create_trial(
                params={"x": x}, distributions=space, intermediate_values=reports, state=state, value=value
            )
        )
    return study


def turning(peak: float, end: float, n: int = EPOCHS) -> list[float]:
    """Return the first n epochs of a curve that rises to its peak in the fifth epoch and falls to its end."""
    return [float(np.interp(epoch, [0, 5, EPOCHS], [0.1, peak, end])) for epoch in range(1, n + 1)]


def belief_of(study: optuna.Study, policy: EpochPolicy) -> Belief:
    found = believe(study, Training(EPOCHS, epoch_policy=policy))
    assert found is not None
    return found


def test_an_early_peak_is_not_what_a_trial_has_to_beat_if_the_last_epoch_counts() -> None:
    study = study_of([turning(0.9, 0.3 + 0.02 * n) for n in range(10)])
    assert belief_of(study, "best").best_seen == pytest.approx(belief_of(study, "best").scale.standardized([0.9])[0])
    last = belief_of(study, "last")
    assert last.best_seen == pytest.approx(last.scale.standardized([0.48])[0])


def test_a_stopped_trial_with_an_early_peak_is_hoped_to_end_a_little_better_than_expected() -> None:
    study = study_of([*(turning(0.9, 0.3 + 0.02 * n) for n in range(10)), turning(0.9, 0.3, n=7)])
    found = belief_of(study, "last")
    assert found.best_seen == pytest.approx(max(found.scale.standardized([0.48])[0], (found.ends + found.doubts)[-1]))
    assert found.best_seen < found.scale.standardized([0.85])[0]


def test_no_curve_ends_below_its_best_report_if_the_best_epoch_counts() -> None:
    stopped = [0.1, 0.2, 0.95]  # where all others end far below
    study = study_of([*(turning(0.4 + 0.01 * n, 0.4) for n in range(10)), stopped])
    assert predicted_best(study, EPOCHS, epoch_policy="best").number == 10
    found = belief_of(study, "best")
    assert found.leader == 10
    assert found.best >= found.scale.standardized([0.95])[0]


@pytest.mark.parametrize("n", [10, 11, 12, 13])  # numbers of trials, of which the chance of proposals comes
def test_a_trial_goes_on_where_no_new_configuration_is_left(n: int) -> None:
    space = {"x": FloatDistribution(0.0, 0.9, step=0.9)}
    lucky = [turning(0.8 + 0.1 * (k % 3), 0.8 + 0.1 * (k % 3)) for k in range(n)]  # the same, but for their seeds
    study = study_of(lucky, space)
    reports = dict(enumerate(turning(0.75, 0.75, n=3), start=1))
    number = study._storage.create_new_trial(
        study._study_id,
        optuna.create_trial(
            params={"x": 0.0}, distributions=space, intermediate_values=reports, state=TrialState.RUNNING
        ),
    )
    trial = study.trials[number]
    pruner = CurvePruner(EPOCHS)
    assert trial.last_step in pruner.training.rungs
    assert not pruner.prune(study, trial)
