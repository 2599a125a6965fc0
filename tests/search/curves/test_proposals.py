"""Which configuration is tried next: one that may be better than its model is able to say."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from autotune.search.curves.belief import Belief, believe
from autotune.search.curves.proposals import expected_improvement, propose
from autotune.search.curves.training import Training

EPOCHS = 20
SPACE = {
    "kind": CategoricalDistribution(["one", "other"]),
    "x": FloatDistribution(0.0, 1.0),
    "y": FloatDistribution(0.0, 1.0),
}


def belief_after(points: list[tuple[str, float, float]]) -> Belief:
    """Return what is believed after curves that rise to 0.9 where x is 0.6 and y is 0.4; "other" is worse."""
    study = optuna.create_study(direction="maximize")
    for kind, x, y in points:
        params = {"kind": kind, "x": x, "y": y}
        top = 0.9 - 0.5 * (x - 0.6) ** 2 - 0.5 * (y - 0.4) ** 2 - 0.3 * (kind == "other")
        reports = {epoch: top * (1.0 - 0.5**epoch) for epoch in range(1, EPOCHS + 1)}
        study.add_trial(
            optuna.create_trial(params=params, distributions=SPACE, value=reports[EPOCHS], intermediate_values=reports)
        )
    found = believe(study, Training(EPOCHS))
    assert found is not None
    return found


@pytest.fixture
def belief() -> Belief:
    """Return what is believed of a choice that has been tried once, and badly, beside one tried often."""
    rng = np.random.default_rng(0)
    return belief_after([("one", *rng.random(2)) for _ in range(13)] + [("other", 0.1, 0.9)])


def test_half_of_the_proposals_are_where_the_model_knows_least(belief: Belief) -> None:
    u = belief.space.to_values(np.random.default_rng(100).random((4_000, 3)))
    mean, deviation = belief.predict_ends(u)
    plainly = deviation[expected_improvement(mean, deviation, belief.best).argmax()]
    proposed = np.array([propose(belief, np.random.default_rng(seed)).u for seed in range(40)])
    deviations = belief.predict_ends(belief.space.to_values(proposed))[1]
    assert 0.3 < np.mean(deviations > 1.5 * plainly) < 0.7
    assert 0.3 < np.mean(deviations < 1.2 * plainly) < 0.7


@pytest.mark.parametrize("seed", range(4))
def test_a_proposal_tells_what_it_is_expected_to_gain_by_the_model_as_it_is(belief: Belief, seed: int) -> None:
    proposal = propose(belief, np.random.default_rng(seed))
    mean, deviation = belief.predict_ends(belief.space.to_values(proposal.u[None]))
    assert proposal.improvement == pytest.approx(expected_improvement(mean, deviation, belief.best)[0])


def test_a_proposal_has_not_been_tried(belief: Belief) -> None:
    proposals = belief.space.to_values(np.array([propose(belief, np.random.default_rng(seed)).u for seed in range(20)]))
    assert not (proposals[:, None] == belief.taken).all(axis=2).any()


def test_where_everything_has_been_tried_there_is_nothing_to_gain() -> None:
    study = optuna.create_study(direction="maximize")
    space = {"kind": CategoricalDistribution([f"choice {n}" for n in range(10)])}
    for n in range(10):
        reports = {1: 0.1 * n}
        study.add_trial(
            optuna.create_trial(
                params={"kind": f"choice {n}"}, distributions=space, value=reports[1], intermediate_values=reports
            )
        )
    found = believe(study, Training(1))
    assert found is not None
    assert propose(found, np.random.default_rng(0)).improvement == -1.0


def test_a_configuration_beside_failed_trials_will_probably_fail_and_its_values_are_no_bad_ones() -> None:
    study = optuna.create_study(direction="maximize")
    space = {"x": FloatDistribution(0.0, 1.0)}
    for x in (np.arange(12) + 0.5) / 12:
        if x > 0.5:  # before any report
            study.add_trial(optuna.create_trial(state=TrialState.FAIL, params={"x": x}, distributions=space))
        else:
            study.add_trial(optuna.create_trial(value=x, params={"x": x}, distributions=space))
    found = believe(study, Training(EPOCHS))
    assert found is not None
    probability = found.feasibility.probability(np.array([[0.02], [0.40], [0.60], [0.98]]))
    assert (probability > 0.5).tolist() == [True, True, False, False]
    assert found.predict_ends(np.array([[0.55]]))[0] > found.ends[:-1].max()  # values rise towards the failures
    assert 0.3 < found.space.to_params(propose(found, np.random.default_rng(0)).u)["x"] < 0.6
