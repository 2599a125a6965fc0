"""What a further look at a trial is worth, beside what comes of looks that are drawn at random."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution

from autotune.search.curve_belief import Belief, believe
from autotune.search.curve_kernel import Points
from autotune.search.curve_looks import Looks, looks_at
from autotune.search.curve_training import Training

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
@pytest.mark.parametrize("epoch", [2, 8, EPOCHS])
def test_the_worth_is_the_mean_gain_over_reports_that_are_drawn_from_the_model(
    belief: Belief, ahead: float, epoch: int
) -> None:
    u = np.array([0.4, 0.6])
    looks = looks_at(belief, u, TO_COME, [epoch, EPOCHS], [1.0, 1.0])
    best = looks.mean - ahead * looks.moves[0]
    means, covariance = belief.predict_curve(u, TO_COME, [epoch])
    drawn = np.random.default_rng(1).normal(means[0], np.sqrt(covariance[0, 0] + belief.model.kernel.noise), 2_000)
    columns = belief.space.to_columns(u[None])
    trials = np.array([TO_COME])
    at, end = (Points(columns, trials, np.log([float(e)]) / np.log(EPOCHS)) for e in (epoch, EPOCHS))
    after = [belief.model.extended(at, np.array([report])).predict(end)[0][0] for report in drawn]
    gains = np.maximum(after, best) - max(looks.mean, best)
    worth = Looks(looks.mean, looks.moves[:1], looks.costs[:1]).worth(best)
    assert worth == pytest.approx(gains.mean(), abs=4 * gains.std() / np.sqrt(len(gains)))


def test_a_later_look_moves_more_and_the_dearer_one_must_bring_more(belief: Belief) -> None:
    u = np.array([0.4, 0.6])
    cheap = looks_at(belief, u, TO_COME, [2, 8, EPOCHS], [2.0, 8.0, 20.0])
    dear = looks_at(belief, u, TO_COME, [2, 8, EPOCHS], [4.0, 16.0, 40.0])
    assert list(cheap.moves) == sorted(cheap.moves)
    assert dear.worth(0.5) == pytest.approx(cheap.worth(0.5) / 2)


def test_nothing_is_to_be_learnt_where_the_choice_is_clear() -> None:
    looks = Looks(mean=0.0, moves=np.array([0.1]), costs=np.array([1.0]))
    assert looks.worth(0.0) > 0.03
    assert looks.worth(1.0) == pytest.approx(looks.worth(-1.0))
    assert looks.worth(1.0) < 1e-12
