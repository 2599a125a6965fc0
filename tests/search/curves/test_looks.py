"""What it is worth to go on with a trial, beside what comes of reports that are drawn at random."""

from __future__ import annotations

import dataclasses

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution

from autotune.search.curves.belief import Belief, believe
from autotune.search.curves.kernel import Points
from autotune.search.curves.looks import Looks, looks_at
from autotune.search.curves.training import Training

EPOCHS = 20
SPACE = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
TO_COME = 1_000


@pytest.fixture
def belief() -> Belief:
    """Return what is believed after fourteen noisy curves, some of them whole."""
    rng = np.random.default_rng(0)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(14):
        trial = study.ask(SPACE)
        x, y = trial.params["x"], trial.params["y"]
        for epoch in range(1, 1 + (EPOCHS if number % 3 == 0 else 4)):
            trial.report(1.0 - (x - 0.3) ** 2 - 1.0 / epoch ** (0.5 + y) + 0.02 * rng.normal(), epoch)
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    found = believe(study, Training(EPOCHS))
    assert found is not None
    return found


@pytest.mark.parametrize("ahead", [-1.5, 1.0])
@pytest.mark.parametrize("epoch", [2, 8])
def test_the_worth_is_the_best_ratio_of_gain_and_cost_over_reports_that_are_drawn_from_the_model(
    belief: Belief, ahead: float, epoch: int
) -> None:
    u = np.array([0.4, 0.6])
    looks = looks_at(belief, u, TO_COME, [epoch, EPOCHS], [3.0, 21.0])
    best = looks.mean - ahead * looks.moves[0]
    means, covariance = belief.predict_curve(u, TO_COME, [epoch])
    drawn = np.random.default_rng(1).normal(means[0], np.sqrt(covariance[0, 0] + belief.model.kernel.noise), 2_000)
    columns = belief.space.to_columns(u[None])
    trials = np.array([TO_COME])
    at, end = (Points(columns, trials, np.log([float(e)]) / np.log(EPOCHS)) for e in (epoch, EPOCHS))
    after = np.sort([belief.model.extended(at, np.array([report])).predict(end)[0][0] for report in drawn])[::-1]
    left = np.sqrt(looks.moves[1] ** 2 - looks.moves[0] ** 2)
    chance = np.random.default_rng(2)
    gains = np.array([np.maximum(chance.normal(mean, left, 400) - best, 0.0).mean() for mean in after])
    gone_on_with = np.arange(1, 1 + len(after))  # the best outcomes of the look
    ratios = np.cumsum(gains) / (3.0 * len(after) + (21.0 - 3.0) * gone_on_with)
    whole = np.maximum(chance.normal(looks.mean, looks.moves[1], 100_000) - best, 0.0).mean() / 21.0
    assert looks.worth(best) == pytest.approx(max(ratios.max(), whole), rel=0.1)


def test_a_later_look_moves_more_and_the_dearer_one_must_bring_more(belief: Belief) -> None:
    u = np.array([0.4, 0.6])
    cheap = looks_at(belief, u, TO_COME, [2, 8, EPOCHS], [2.0, 8.0, 20.0])
    dear = looks_at(belief, u, TO_COME, [2, 8, EPOCHS], [4.0, 16.0, 40.0])
    assert list(cheap.moves) == sorted(cheap.moves)
    assert dear.worth(0.5) == pytest.approx(cheap.worth(0.5) / 2)


def test_an_early_look_is_worth_it_where_little_is_expected_and_none_where_the_end_is_sure() -> None:
    doubtful = Looks(mean=-2.0, moves=np.array([0.9, 1.0]), costs=np.array([1.0, 20.0]))
    unseen = Looks(doubtful.mean, doubtful.moves[1:], doubtful.costs[1:])
    assert doubtful.worth(0.0) > 3.0 * unseen.worth(0.0)
    sure = Looks(mean=1.0, moves=np.array([0.009, 0.01]), costs=np.array([1.0, 20.0]))
    assert sure.worth(0.0) == pytest.approx(1.0 / 20.0)


def test_the_last_epochs_of_a_good_trial_are_worth_more_than_all_those_of_its_like() -> None:
    moves = np.array([0.2, 0.3])
    begun, new = Looks(0.1, moves[1:], np.array([5.0])), Looks(0.1, moves, np.array([3.0, 21.0]))
    assert begun.worth(0.0) > 2.0 * new.worth(0.0)


def test_the_leader_is_well_known_and_not_only_expected_to_be_good(belief: Belief) -> None:
    ends, doubts = np.full(len(belief.ends), -1.0), np.zeros(len(belief.ends))
    ends[:3], doubts[:3] = (1.0, 0.9, 0.5), (0.4, 0.1, 0.0)  # .8, .85 and .5, each less half a standard deviation
    known = dataclasses.replace(belief, ends=ends, doubts=doubts)
    assert (known.leader, known.best) == (1, 0.9)
