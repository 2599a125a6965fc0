"""What a search says about the next one: planted truths are found, and nothing is made up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autotune.results.advice.advice import Advice, advise
from autotune.results.advice.importance import importances
from autotune.results.advice.ranges import position, widened
from autotune.search.samplers import tpe

Objective = Callable[[optuna.Trial], float]


def searched(objective: Objective, n_trials: int, sampler: optuna.samplers.BaseSampler, **options: str) -> optuna.Study:
    study = optuna.create_study(study_name="toy", sampler=sampler, **options)
    study.optimize(objective, n_trials=n_trials, catch=(MemoryError,))
    return study


def advice_of(
    study: optuna.Study, train_values: dict[int, float] | None = None, epochs: int | None = None
) -> list[Advice]:
    return advise(study, importances(study, resamples=50), train_values or {}, epochs)


@pytest.mark.parametrize("learns", [False, True], ids=["random", "tpe"])
@pytest.mark.parametrize("optimum", [-0.3, 1.3])
def test_an_optimum_outside_of_the_range_is_looked_for_on_its_side(optimum: float, learns: bool) -> None:
    noise = np.random.default_rng(0)

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        y = trial.suggest_float("inside", 0.0, 1.0)
        trial.suggest_float("dead", 0.0, 1.0)
        return (x - optimum) ** 2 + (y - 0.5) ** 2 + 0.02 * float(noise.standard_normal())

    study = searched(objective, 80, tpe(1) if learns else optuna.samplers.RandomSampler(seed=1))
    found = [one for one in advice_of(study) if one.kind == "widen"]
    assert [one.parameter for one in found] == ["x"]
    wider = found[0].distribution
    assert isinstance(wider, FloatDistribution)
    assert wider.low <= optimum <= wider.high
    assert "upper edge" in found[0].evidence if optimum > 1 else "lower edge" in found[0].evidence


def test_a_log_range_is_widened_on_its_own_scale() -> None:
    study = searched(
        lambda trial: abs(np.log10(trial.suggest_float("rate", 1e-4, 1e-2, log=True)) + 1),
        40,
        optuna.samplers.RandomSampler(seed=0),
    )
    (found,) = (one for one in advice_of(study) if one.kind == "widen")
    assert found.distribution == FloatDistribution(1e-4, 0.1, log=True)


def test_the_largest_of_numeric_choices_asks_for_a_larger_one() -> None:
    study = searched(
        lambda trial: -float(trial.suggest_categorical("filters", [16, 32, 64])) + trial.suggest_float("x", 0, 1),
        40,
        optuna.samplers.RandomSampler(seed=0),
    )
    (found,) = (one for one in advice_of(study) if one.parameter == "filters")
    assert found.distribution == CategoricalDistribution([16, 32, 64, 128])


def test_a_dead_hyperparameter_is_to_be_fixed_and_those_that_matter_are_not() -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("dead", 0.0, 1.0)
        return (trial.suggest_float("x", -1.0, 1.0)) ** 2 + (trial.suggest_float("y", -1.0, 1.0)) ** 2

    study = searched(objective, 120, optuna.samplers.RandomSampler(seed=0))
    found = [one for one in advice_of(study) if one.kind == "fix"]
    assert [one.parameter for one in found] == ["dead"]
    assert found[0].value == study.best_params["dead"]


def curves(shape: Callable[[int], float]) -> Objective:
    def objective(trial: optuna.Trial) -> float:
        offset = trial.suggest_float("x", 0, 0.1)
        for epoch in range(1, 11):
            trial.report(shape(epoch) + offset, epoch)
        return shape(10) + offset

    return objective


def test_curves_that_still_rise_ask_for_more_epochs_and_those_that_have_flattened_do_not() -> None:
    sampler = optuna.samplers.RandomSampler(seed=0)
    rising = searched(curves(lambda epoch: 1 - 1 / epoch), 20, sampler, direction="maximize")
    (found,) = (one for one in advice_of(rising, epochs=10) if one.kind == "train longer")
    assert "10 epochs" in found.text
    assert "5 of the 5" in found.evidence
    flat = searched(curves(lambda epoch: 1 - abs(epoch - 5) / 10), 20, sampler, direction="maximize")
    assert not [one for one in advice_of(flat, epochs=10) if one.kind == "train longer"]


def test_a_loss_that_still_falls_asks_for_more_epochs_too() -> None:
    falling = searched(curves(lambda epoch: 1 / epoch), 20, optuna.samplers.RandomSampler(seed=0))
    assert [one.kind for one in advice_of(falling, epochs=10) if one.kind == "train longer"]


def test_training_far_above_validation_asks_for_regularization_and_names_what_helped() -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("rate", 0, 1)
        return 0.9 + 0.02 * trial.suggest_float("dropout", 0.0, 0.5)

    study = searched(objective, 40, optuna.samplers.RandomSampler(seed=0), direction="maximize")
    train = {trial.number: 0.99 - 0.1 * trial.params["dropout"] for trial in study.trials}
    (found,) = (one for one in advice_of(study, train) if one.kind == "overfitting")
    assert "more dropout" in found.text
    assert "rate" not in found.text
    even = {trial.number: trial.value or 0.0 for trial in study.trials}
    assert not [one for one in advice_of(study, even) if one.kind == "overfitting"]


def test_failures_are_counted_and_located() -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        width = trial.suggest_int("width", 1, 100)
        if width > 70:
            trial.set_user_attr("failure", "oom")
            raise MemoryError
        return x

    study = searched(objective, 60, optuna.samplers.RandomSampler(seed=0))
    (found,) = (one for one in advice_of(study) if one.kind == "failures")
    assert found.parameter == "width"
    assert " oom" in found.evidence
    assert "width of 7" in found.text


def test_a_few_trials_say_that_they_are_few_and_nothing_else() -> None:
    study = searched(lambda trial: trial.suggest_float("x", 0, 1), 4, optuna.samplers.RandomSampler(seed=0))
    (found,) = advice_of(study)
    assert found.kind == "too few trials"
    assert "--trials 20" in found.text


def test_no_trials_and_only_failed_ones_are_no_traceback() -> None:
    assert advice_of(optuna.create_study()) == []
    failed = searched(lambda trial: trial.suggest_float("x", 0, 1) * float("nan"), 10, tpe(0))
    assert [one.kind for one in advice_of(failed)] == ["failures"]


@pytest.mark.parametrize(
    ("distribution", "value", "where"),
    [
        (FloatDistribution(1e-4, 1e-2, log=True), 1e-3, 0.5),
        (IntDistribution(1, 3), 3, 1.0),
        (CategoricalDistribution([64, 16, 32]), 64, 1.0),
    ],
)
def test_positions_are_on_the_scale_of_the_range(distribution: FloatDistribution, value: float, where: float) -> None:
    assert position(distribution, value) == pytest.approx(where)


@pytest.mark.parametrize(
    ("distribution", "upwards", "wider"),
    [
        (IntDistribution(1, 3), True, IntDistribution(1, 4)),
        (IntDistribution(16, 64, step=16), True, IntDistribution(16, 96, step=16)),
        (IntDistribution(8, 64, log=True), False, IntDistribution(2, 64, log=True)),
        (FloatDistribution(0.0, 0.5), True, FloatDistribution(0.0, 0.75)),
        (CategoricalDistribution([16, 32, 64]), False, CategoricalDistribution([8, 16, 32, 64])),
        (CategoricalDistribution([0.0, 0.1, 0.2]), True, CategoricalDistribution([0.0, 0.1, 0.2, 0.3])),
    ],
)
def test_ranges_are_widened_to_round_numbers(
    distribution: FloatDistribution, upwards: bool, wider: FloatDistribution
) -> None:
    assert widened(distribution, upwards, 0.5) == wider
