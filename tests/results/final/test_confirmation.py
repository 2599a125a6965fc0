"""What is chosen is what is better when trained again, and not what was lucky once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from autotune.data.splits import Design
from autotune.errors import StudyFailedError
from autotune.results.final.confirmation import BASELINE, Confirmation, candidates_to_confirm, confirm, refit_of
from autotune.running.planning.queued import Queue
from autotune.search.curves import CurvePruner

SPACE = IntDistribution(0, 1000)
Training = Callable[[int, int], float | None]


def search_of(values: Sequence[float], direction: str = "maximize") -> optuna.Study:
    """Return a study with a trial for each value, whose only hyperparameter is its number."""
    study = optuna.create_study(direction=direction)
    for number, value in enumerate(values):
        study.add_trial(create_trial(value=value, params={"x": number}, distributions={"x": SPACE}))
    return study


def confirmed(
    search: optuna.Study,
    train: Training,
    top: int = 3,
    repeats: int = 4,
    baseline: Mapping[str, Any] | None = None,
    sizes: Mapping[int, int] | None = None,
    monitor: str = "val_loss",
) -> Confirmation:
    """Confirm by a function from the hyperparameter and the repeat to a value; None fails."""
    queued = candidates_to_confirm(search, top, repeats, baseline)
    again = optuna.create_study(direction=search.direction)
    again.set_metric_names([monitor])
    Queue("again", queued).fill(again)
    Queue("again", queued).fill(again)  # which adds nothing
    assert len(again.trials) == len(queued)
    for _ in queued:
        trial = again.ask()
        x = trial.suggest_int("x", 0, 1000)
        if sizes is not None:
            trial.set_user_attr("n_parameters", sizes[x])
        value = train(x, trial.user_attrs["repeat"])
        again.tell(trial, value, state=TrialState.FAIL if value is None else TrialState.COMPLETE)
    return confirm(search, again, queued, Design())


def steady(means: Mapping[int, float]) -> Training:
    """Return a training with these means, and noise that the repeat decides."""
    return lambda x, repeat: means[x] + 0.001 * repeat + 0.0001 * ((x + repeat) % 2)


def test_a_trial_that_was_stopped_because_it_was_known_well_enough_is_a_candidate_too() -> None:
    search = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(12):
        trial = search.ask({"x": SPACE})
        for epoch in range(1, 11 if number % 4 == 0 else 7):
            trial.report(1.0 - 0.001 * abs(trial.params["x"] - 300) - 0.5 / epoch, epoch)
        if number % 4 == 0:
            search.tell(trial, 1.0 - 0.001 * abs(trial.params["x"] - 300) - 0.05)
        else:
            search.tell(trial, state=TrialState.PRUNED)
    ends = {str(t.number): abs(t.params["x"] - 300) for t in search.trials if t.state != TrialState.RUNNING}
    by_model = candidates_to_confirm(search, 3, 1, None, CurvePruner(10))
    by_value = candidates_to_confirm(search, 3, 1, None)
    assert [one.candidate for one in by_model] == sorted(ends, key=lambda name: ends[name])[:3]
    assert {int(one.candidate) % 4 for one in by_value} == {0}
    assert {int(one.candidate) % 4 for one in by_model} != {0}


def test_a_trial_of_the_baseline_is_no_candidate_beside_it() -> None:
    queued = candidates_to_confirm(search_of([0.5, 0.9, 0.8]), 2, 1, {"x": 1})
    assert [(one.candidate, one.params) for one in queued] == [("2", {"x": 2}), ("0", {"x": 0}), (BASELINE, {"x": 1})]


def test_the_best_when_trained_again_wins_and_not_the_luckiest() -> None:
    found = confirmed(search_of([0.5, 0.99, 0.8, 0.7]), steady({1: 0.6, 2: 0.75, 3: 0.7}))
    assert [one.name for one in found.candidates] == ["2", "3", "1"]
    assert found.winner == "2"
    assert found.is_clear
    lucky = found.candidate("1")
    assert lucky.searched == 0.99
    assert lucky.optimism == pytest.approx(0.99 - 0.60155)


def test_smaller_is_better_where_the_study_minimizes() -> None:
    search = search_of([0.5, 0.01, 0.2, 0.3], direction="minimize")
    found = confirmed(search, steady({1: 0.4, 2: 0.25, 3: 0.3}))
    assert found.winner == "2"
    assert found.candidate("1").optimism == pytest.approx(0.39155)  # it had seemed better by so much
    behind = found.candidate("1").versus_best
    assert behind is not None
    assert behind.mean == pytest.approx(0.15, abs=1e-3)


def test_among_equals_the_smallest_network_wins() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, size=(10, 4))
    found = confirmed(search_of([0.7, 0.8, 0.9]), lambda x, r: 0.8 + noise[x, r], sizes={0: 10, 1: 300, 2: 200})
    best = found.candidates[0].name
    assert found.winner == "0"
    assert not found.is_clear
    assert best in {"0", "1", "2"}
    clear = confirmed(search_of([0.7, 0.8, 0.9]), steady({0: 0.7, 1: 0.8, 2: 0.9}), sizes={0: 10, 1: 300, 2: 200})
    assert clear.winner == "2"


def test_the_same_hyperparameters_are_one_candidate() -> None:
    search = search_of([0.1, 0.2, 0.3])
    search.add_trial(create_trial(value=0.9, params={"x": 2}, distributions={"x": SPACE}))
    assert [t.candidate for t in candidates_to_confirm(search, 2, 1, None)] == ["3", "1"]


def test_a_candidate_that_fails_with_some_seed_cannot_win() -> None:
    found = confirmed(search_of([0.7, 0.8]), lambda x, repeat: None if (x, repeat) == (1, 2) else x + 0.01 * repeat)
    assert found.winner == "0"
    assert [(one.name, one.n_failed) for one in found.candidates] == [("0", 0), ("1", 1)]
    assert found.candidate("1").confirmed is None


def test_where_every_candidate_fails_it_is_said() -> None:
    with pytest.raises(StudyFailedError, match="no candidate could be trained with every seed"):
        confirmed(search_of([0.7, 0.8]), lambda x, repeat: None)


def test_a_winner_beats_the_baseline_only_beyond_noise() -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, size=(1001, 4))
    search = search_of([0.7, 0.8, 0.9])
    equal = confirmed(search, lambda x, r: 0.8 + noise[x, r], baseline={"x": 1000})
    better = confirmed(search, lambda x, r: 0.8 + noise[x, r] + 0.2 * (x < 1000), baseline={"x": 1000})
    assert not equal.beats_baseline
    assert better.beats_baseline
    assert better.candidate(BASELINE).searched is None
    assert better.versus_baseline is not None
    assert better.versus_baseline.mean == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(("monitor", "is_a_share"), [("val_accuracy", True), ("val_f_score", False)])
def test_the_interval_of_a_confirmed_accuracy_ends_at_1(monitor: str, is_a_share: bool) -> None:
    found = confirmed(search_of([0.99]), lambda x, repeat: (1.0, 0.97)[repeat % 2], monitor=monitor)
    interval = found.candidate("0").confirmed
    assert interval is not None
    assert interval.low < interval.mean
    assert (interval.high == 1.0) == is_a_share


def test_of_pure_noise_the_winner_beats_the_baseline_no_more_often_than_chance() -> None:
    rng = np.random.default_rng(2)
    beaten = 0
    for _ in range(200):
        noise = rng.normal(0, 0.01, size=(1001, 5))
        found = confirmed(
            search_of(rng.normal(0.5, 0.01, 8).tolist()),
            lambda x, r, noise=noise: float(noise[x, r]),  # type: ignore[misc]  # reason: the loop's own noise
            top=5,
            repeats=5,
            baseline={"x": 1000},
        )
        beaten += found.beats_baseline
    assert beaten <= 14  # 0.05 at most; 14 of 200 are exceeded once in twenty times


def test_refits_are_trained_as_long_as_the_repeats_were() -> None:
    again = optuna.create_study()
    for repeat, (epochs, rates) in enumerate(
        [([4], [0.1, 0.1, 0.05, 0.05]), ([2], [0.1, 0.05, 0.05]), ([3], [0.1] * 3)]
    ):
        attributes = {"candidate": "7", "repeat": repeat, "best_epoch": epochs[0], "learning_rates": [rates]}
        again.add_trial(create_trial(value=0.5, user_attrs=attributes))
    refit = refit_of(again, "7")
    assert refit.epochs == 3
    assert refit.learning_rates == (0.1, 0.1, 0.05)
