"""A pruner that will not do what its user expects says so beforehand."""

from __future__ import annotations

import optuna
import pytest
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)

from autotune.search.pruners import NoiseAwarePruner, pruning_note


def test_hyperband_with_too_few_trials_says_its_plan() -> None:
    note = pruning_note(HyperbandPruner(max_resource=50), "toy", n_trials=20, epochs=50)
    assert note is not None
    assert "Hyperband has 4 brackets, which need 49 trials, and the study has 20" in note
    for rung, need in ((1, 27), (3, 12), (9, 6), (27, 4)):
        assert f"after epoch {rung} " in note
        assert f"trials of {need}" in note


@pytest.mark.parametrize("pruner", [HyperbandPruner(max_resource=9), HyperbandPruner()], ids=["given", "auto"])
def test_the_plan_is_what_hyperband_does(pruner: HyperbandPruner) -> None:
    note = pruning_note(pruner, "toy", n_trials=16, epochs=9)
    dealt = [0, 0, 0]
    study = optuna.create_study(study_name="toy", pruner=HyperbandPruner(max_resource=9))
    for _ in range(16):
        trial = study.ask()
        trial.report(0.0, 1)
        trial.should_prune()
        dealt[study.pruner._get_bracket_id(study, study.trials[trial.number])] += 1  # type: ignore[attr-defined]  # reason: its own
    assert note is not None
    assert f"after epoch 1 {dealt[0]} trials of 9; after epoch 3 {dealt[1]} trials of 5; after epoch 9" in note
    assert f"{dealt[2]} trials of 3." in note


@pytest.mark.parametrize(
    ("pruner", "words"),
    [
        (SuccessiveHalvingPruner(min_resource=20), "stops no trial before its end: it looks at epoch 20 first"),
        (SuccessiveHalvingPruner(min_resource=3, min_early_stopping_rate=2), "epoch 48 first, and a trial has 12"),
        (HyperbandPruner(min_resource=12, max_resource=50), "it looks at epoch 12 first"),
        (MedianPruner(n_warmup_steps=12), "it looks at epoch 12 first"),
        (PercentilePruner(25.0, n_startup_trials=40), "needs 40 complete ones first, and the study has 40"),
        (MedianPruner(n_min_trials=41), "needs 41 complete ones first"),
        (NoiseAwarePruner(grace_epochs=15), "it looks at epoch 15 first"),
        (NoiseAwarePruner(peers=40), "needs 40 others first"),
    ],
)
def test_a_pruner_that_can_stop_nothing_says_why(pruner: BasePruner, words: str) -> None:
    note = pruning_note(pruner, "toy", n_trials=40, epochs=12)
    assert note is not None
    assert words in note


@pytest.mark.parametrize(
    "pruner",
    [
        HyperbandPruner(max_resource=12),
        SuccessiveHalvingPruner(),
        SuccessiveHalvingPruner(min_resource=3),
        MedianPruner(),
        NoiseAwarePruner(),
        NopPruner(),
    ],
)
def test_of_others_there_is_nothing_to_say(pruner: BasePruner) -> None:
    assert pruning_note(pruner, "toy", n_trials=40, epochs=12) is None
    assert pruning_note(pruner, "toy", n_trials=40, epochs=None) is None
