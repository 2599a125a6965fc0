"""Quick percentile pruners say what Optuna's say."""

from __future__ import annotations

import math
import random

import optuna
import pytest
from optuna.pruners import MedianPruner, PercentilePruner
from optuna.trial import TrialState

from autotune.search.pruners.percentiles import QuickPercentilePruner


def _value(chance: random.Random) -> float:
    return chance.choice([math.nan, math.inf, 0.5]) if chance.random() < 0.2 else chance.random()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numpy, about infinite reports
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("seed", range(12))
def test_every_decision_is_optunas(direction: str, seed: int) -> None:
    chance = random.Random(seed)
    pruner = PercentilePruner(
        chance.choice([0.0, 10.0, 50.0, 100.0]),
        n_startup_trials=chance.randrange(4),
        n_warmup_steps=chance.randrange(3),
        interval_steps=chance.randrange(1, 4),
        n_min_trials=chance.randrange(1, 4),
    )
    quick = QuickPercentilePruner(pruner)
    study = optuna.create_study(direction=direction, pruner=optuna.pruners.NopPruner())
    open_trials: list[optuna.Trial] = []
    for _ in range(30):
        open_trials.append(study.ask())
        for trial in list(open_trials):  # several at a time: they do not end in their order
            trial.report(_value(chance), (study.trials[trial.number].last_step or 0) + chance.randrange(1, 3))
            stored = study.trials[trial.number]
            assert quick.prune(study, stored) == pruner.prune(study, stored)
            if chance.random() < 0.3:
                open_trials.remove(trial)
                state = chance.choice([TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
                study.tell(trial, 1.0 if state == TrialState.COMPLETE else None, state)


def test_another_study_is_judged_by_its_own_trials() -> None:
    quick = QuickPercentilePruner(MedianPruner(n_startup_trials=1))
    decisions = []
    for good in (0.9, 0.1):
        study = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
        peer, trial = study.ask(), study.ask()
        peer.report(good, 1)
        study.tell(peer, good)
        trial.report(0.5, 1)
        decisions.append(quick.prune(study, study.trials[1]))
    assert decisions == [True, False]
