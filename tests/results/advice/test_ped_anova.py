"""What is computed sooner is what Optuna computes."""

from __future__ import annotations

import math
import random
import warnings

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, create_trial

from autotune.results.advice.ped_anova import PedAnova

SPACE: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "dropout": FloatDistribution(0.0, 0.5),
    "momentum": FloatDistribution(0.0, 0.9, step=0.1),
    "units": IntDistribution(16, 1024, log=True),
    "layers": IntDistribution(1, 4),
    "wide": IntDistribution(0, 1000, step=4),
    "kind": CategoricalDistribution(["a", "b", None]),
    "only": IntDistribution(3, 3),
}


def trials(n: int, chance: random.Random) -> list[FrozenTrial]:
    """Make up trials: `momentum` goes with one kind, and the range of `layers` hangs on it."""
    sampler = optuna.samplers.RandomSampler(seed=chance.randrange(1000))
    study = optuna.create_study(sampler=sampler)
    made = []
    for _ in range(n):
        trial = study.ask()
        params = {name: trial._suggest(name, one) for name, one in SPACE.items() if name not in ("momentum", "layers")}
        branch = {"layers": SPACE["layers"] if params["kind"] == "a" else IntDistribution(2, 9)}
        if params["kind"] == "a":
            branch["momentum"] = SPACE["momentum"]
        params |= {name: trial._suggest(name, one) for name, one in branch.items()}
        value = abs(math.log10(params["rate"]) + 3) + params["dropout"] + chance.gauss(0, 0.2)
        distributions = {name: branch.get(name, SPACE[name]) for name in params}
        made.append(create_trial(value=value, params=params, distributions=distributions))
    return made


@pytest.mark.parametrize("seed", range(4))
def test_importances_of_drawn_trials_are_those_that_optuna_finds(seed: int) -> None:
    chance = random.Random(seed)
    known = trials(60, chance)
    drawn = [chance.randrange(60) for _ in range(60)]
    results = [float(round(3 * chance.random(), 1)) for _ in drawn]  # with many that are equal
    study = optuna.create_study()
    for position, result in zip(drawn, results, strict=True):
        known_trial = known[position]
        study.add_trial(create_trial(value=result, params=known_trial.params, distributions=known_trial.distributions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the evaluator may change
        theirs = PedAnovaImportanceEvaluator(target_quantile=0.4).evaluate(study, params=list(SPACE))
    ours = PedAnova(known, list(SPACE), good_share=0.4).importances(np.array(drawn), np.array(results))
    assert ours == pytest.approx([theirs[name] for name in SPACE], rel=1e-6, abs=1e-9)
    assert ours[0] > 0


def test_a_parameter_that_no_drawn_trial_has_is_not_important() -> None:
    known = trials(30, random.Random(0))
    without = np.array([position for position, trial in enumerate(known) if "momentum" not in trial.params])
    (momentum, rate) = PedAnova(known, ["momentum", "rate"], 0.4).importances(without, np.arange(len(without)) * 1.0)
    assert momentum == 0
    assert rate > 0
