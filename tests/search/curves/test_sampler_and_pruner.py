"""The sampler and the pruner that know learning curves, in plain Optuna studies."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler, RandomSampler
from optuna.testing import pytest_samplers as suites
from optuna.trial import BaseTrial, TrialState

from autotune.errors import UsageError
from autotune.search.curves import CurvePruner, CurveSampler, predicted_best
from autotune.search.curves.belief import believe
from autotune.search.curves.proposals import expected_improvement
from autotune.search.curves.training import Training
from autotune.search.history import LEARNED_FROM
from autotune.search.samplers import SeededSampler
from autotune.study import EpochPolicy

EPOCHS = 20
Train = Callable[[BaseTrial], Sequence[float]]


class TestOptunasOwnSuite(
    suites.BasicSamplerTestCase, suites.RelativeSamplerTestCase, suites.MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: CurveSampler(max_epochs=10, seed=0)


def curve(trial: BaseTrial) -> list[float]:
    """Return an accuracy at each epoch: how high it ends and how fast it gets there are decided by two parameters."""
    rate = trial.suggest_float("rate", 1e-5, 1.0, log=True)
    width = trial.suggest_int("width", 1, 64, log=True)
    off = abs(math.log10(rate) + 2.5)
    top = 0.95 - 0.05 * off**2 - 0.02 * (math.log2(width) - 4.0) ** 2
    return [top * (1.0 - math.exp(-epoch / (1.5 + off))) for epoch in range(1, EPOCHS + 1)]


def mixed(trial: BaseTrial) -> list[float]:
    """Return losses of a space with parameters of every kind, some of them conditional."""
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd", "none"])
    rate = trial.suggest_float(f"{optimizer}_rate", 1e-4, 1.0, log=True)
    momentum = trial.suggest_float("momentum", 0.0, 0.9, step=0.1) if optimizer == "sgd" else 0.0
    layers = trial.suggest_int("layers", 1, 4)
    units = [trial.suggest_int(f"units_{layer}", 8, 128, log=True) for layer in range(layers)]
    end = abs(math.log10(rate) + 2) + (optimizer != "sgd") + abs(momentum - 0.5) + 0.2 * layers + min(units) / 128
    return [end + 2.0 / epoch for epoch in range(1, EPOCHS + 1)]


def optimize(study: optuna.Study, train: Train, budget: int, first_step: int = 1) -> None:
    """Search until so many epochs are spent; a last trial that cannot be finished is not begun."""
    spent = sum(len(trial.intermediate_values) for trial in study.trials)
    while spent + EPOCHS <= budget:
        trial = study.ask()
        values = train(trial)
        state = TrialState.COMPLETE
        for step, value in enumerate(values, start=first_step):
            trial.report(value, step)
            spent += 1
            if trial.should_prune():
                state = TrialState.PRUNED
                break
        study.tell(trial, value if state == TrialState.COMPLETE and math.isfinite(value) else None, state=state)


def new_study(direction: str = "maximize", seed: int = 0, start_epochs: float = 1.0, **settings: Any) -> optuna.Study:
    sampler, pruner = CurveSampler(EPOCHS, seed, start_epochs), CurvePruner(EPOCHS, start_epochs)
    return optuna.create_study(direction=direction, sampler=sampler, pruner=pruner, **settings)


def best_end(study: optuna.Study, train: Train) -> float:
    """Return what the trial that the model hands over would end at."""
    chosen = predicted_best(study, EPOCHS)
    return train(optuna.trial.FixedTrial(chosen.params))[-1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_search_beats_random_search_of_twice_the_epochs(seed: int) -> None:
    study = new_study(seed=seed)
    optimize(study, curve, budget=200)
    random = optuna.create_study(direction="maximize", sampler=RandomSampler(seed=seed))
    optimize(random, curve, budget=400)
    assert best_end(study, curve) > 0.948
    assert random.best_value < 0.95 - 2 * (0.95 - best_end(study, curve))


def test_most_epochs_go_to_few_trials() -> None:
    study = new_study()
    optimize(study, curve, budget=200)
    lengths = [len(trial.intermediate_values) for trial in study.trials]
    assert TrialState.COMPLETE in {trial.state for trial in study.trials}
    assert len(lengths) > 1.5 * 200 / EPOCHS
    assert np.median(lengths) < EPOCHS / 2


def test_a_loss_is_minimized_over_parameters_of_every_kind() -> None:
    study = new_study("minimize")
    optimize(study, mixed, budget=300)
    random = optuna.create_study(sampler=RandomSampler(seed=0))
    optimize(random, mixed, budget=300)
    assert best_end(study, mixed) < random.best_value
    assert predicted_best(study, EPOCHS).params["optimizer"] == "sgd"


def test_minimizing_the_negative_is_maximizing() -> None:
    up, down = new_study("maximize"), new_study("minimize")
    optimize(up, curve, budget=150)
    optimize(down, lambda trial: [-value for value in curve(trial)], budget=150)
    assert [trial.params for trial in up.trials] == [trial.params for trial in down.trials]


def test_steps_may_be_counted_from_zero() -> None:
    from_one, from_zero = new_study(), new_study()
    optimize(from_one, curve, budget=150)
    optimize(from_zero, curve, budget=150, first_step=0)
    assert [trial.params for trial in from_one.trials] == [trial.params for trial in from_zero.trials]


def suggestion(path: Path, seeded: bool = False) -> dict[str, Any]:
    """Return what the next trial of a copied study is suggested."""
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{path}")
    study.sampler = CurveSampler(max_epochs=EPOCHS, seed=5)
    if seeded:
        study.sampler = SeededSampler(lambda seed: CurveSampler(max_epochs=EPOCHS, seed=seed), 5)
    trial = study.ask()
    curve(trial)
    params = trial.params
    study.tell(trial, state=TrialState.FAIL)
    return params


def test_another_process_suggests_the_same(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    study = new_study(seed=5, study_name="s", storage=f"sqlite:///{path}")
    optimize(study, curve, budget=150)
    code = "import optuna, sys; from autotune.search.curves import CurveSampler;"
    code += f"study = optuna.load_study(study_name='s', storage='sqlite:///{path}', "
    code += f"sampler=CurveSampler(max_epochs={EPOCHS}, seed=5)); trial = study.ask();"
    code += "print(repr(trial.suggest_float('rate', 1e-5, 1.0, log=True)), trial.suggest_int('width', 1, 64, log=True))"
    copy = path.read_bytes()
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    path.write_bytes(copy)
    here = suggestion(path)
    assert done.stdout.split() == [repr(here["rate"]), str(here["width"])]


def test_a_fresh_sampler_for_every_suggestion_starts_with_one_sequence_of_points() -> None:
    sampler = SeededSampler(lambda seed: CurveSampler(max_epochs=EPOCHS, seed=seed), 3)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(9):
        trial = study.ask()
        study.tell(trial, curve(trial)[-1])
    positions = [(math.log10(trial.params["rate"]) + 5.0) / 5.0 for trial in study.trials[1:8]]
    assert len({math.floor(4 * position) for position in positions}) == 4, "seven points of a Sobol sequence"


def test_the_first_trial_may_ask_after_the_second_which_is_often_so_with_two_slots() -> None:
    study = optuna.create_study(sampler=CurveSampler(EPOCHS, seed=0))
    first, second = study.ask(), study.ask()
    curve(second)
    late = optuna.Trial(study, first._trial_id)
    curve(late)
    assert late.params.keys() == second.params.keys()


def test_what_another_slot_tries_is_hardly_worth_trying_once_more() -> None:
    study = new_study()
    optimize(study, curve, budget=100)
    before = believe(study, Training(EPOCHS))
    study.sampler = RandomSampler(seed=0)  # somewhere nothing is known of yet
    trial = study.ask()
    curve(trial)
    after = believe(study, Training(EPOCHS))
    assert before is not None
    assert after is not None
    u = before.space.to_cube([trial.params])
    there, still = (expected_improvement(*belief.predict_ends(u), belief.best)[0] for belief in (before, after))
    assert still < 0.2 * there
    assert after.predict_ends(u)[0] == pytest.approx(before.predict_ends(u)[0], abs=1e-3)


def test_a_trial_that_runs_leads_by_what_it_has_shown_and_not_by_what_it_is_taken_for() -> None:
    study = new_study()
    optimize(study, curve, budget=100)
    trial = study.ask()
    values = curve(trial)
    trial.report(values[0], 1)
    running, finished = believe(study, Training(EPOCHS)), believe(study, Training(EPOCHS), but=trial.number)
    assert running is not None
    assert finished is not None
    assert running.curves[-1].trial.number == trial.number
    assert running.doubts[-1] > 2 * running.doubts.min()
    assert finished.curves == running.curves[:-1]


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_region_that_diverges_is_left(broken: float) -> None:
    def half_diverges(trial: BaseTrial) -> list[float]:
        values = curve(trial)
        return values if trial.params["rate"] < 1e-2 else [values[0], *[broken] * (EPOCHS - 1)]

    study = new_study()
    optimize(study, half_diverges, budget=250)
    late = study.trials[15:]
    assert np.mean([trial.params["rate"] < 1e-2 for trial in late]) > 0.7
    assert math.isfinite(best_end(study, half_diverges))


def test_a_region_that_fails_before_any_report_is_left() -> None:
    study = new_study()
    for _ in range(40):
        trial = study.ask()
        values = curve(trial)
        if trial.params["rate"] > 1e-3:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, values[-1])
    assert np.mean([trial.params["rate"] < 1e-3 for trial in study.trials[20:]]) > 0.7


def test_the_trial_handed_over_is_not_the_one_with_the_luckiest_report() -> None:
    rng = np.random.default_rng(0)
    study = new_study()
    optimize(study, lambda trial: [value + 0.03 * rng.normal() for value in curve(trial)], budget=600)
    seen = max(study.trials, key=lambda trial: max(trial.intermediate_values.values()))
    luckiest = curve(optuna.trial.FixedTrial(seen.params))[-1]
    assert best_end(study, curve) > 0.92
    assert best_end(study, curve) >= luckiest - 0.005


def test_a_study_without_a_value_has_nothing_to_hand_over() -> None:
    with pytest.raises(UsageError, match="no trial with a value"):
        predicted_best(new_study(), EPOCHS)


def test_a_search_without_any_report_is_a_plain_search() -> None:
    study = new_study()
    study.optimize(lambda trial: curve(trial)[-1], n_trials=25)
    assert study.best_value > 0.92


def test_trials_of_several_folds_are_judged_by_their_means() -> None:
    study = new_study()
    optimize(study, curve, budget=300)
    best = predicted_best(study, EPOCHS)
    ends = {}
    for name, loss in (("good", 0.0), ("bad", 0.3)):
        study.enqueue_trial(best.params)
        trial = study.ask()
        for step, value in enumerate(curve(trial), start=1):
            trial.report(value, step)
        trial.report(value - loss + (0.02 if not loss else 0.0), EPOCHS + 1)
        ends[name] = trial.should_prune()
        study.tell(trial, state=TrialState.PRUNED)
    assert ends == {"good": False, "bad": True}


@pytest.mark.parametrize(("epoch_policy", "best"), [("last", 1.0), ("best", 0.0)])
def test_the_search_goes_where_the_epoch_is_good_that_counts(epoch_policy: EpochPolicy, best: float) -> None:
    def train(trial: BaseTrial) -> list[float]:
        x = trial.suggest_float("x", 0.0, 1.0)
        return [0.5 + 0.3 * x * epoch / EPOCHS + 0.4 * (1.0 - x) * (epoch == 2) for epoch in range(1, EPOCHS + 1)]

    sampler = CurveSampler(EPOCHS, seed=0, epoch_policy=epoch_policy)
    pruner = CurvePruner(EPOCHS, epoch_policy=epoch_policy)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    optimize(study, train, budget=200)
    assert predicted_best(study, EPOCHS, epoch_policy=epoch_policy).params["x"] == pytest.approx(best, abs=0.1)
    assert np.mean([trial.params["x"] for trial in study.trials[-5:]]) == pytest.approx(best, abs=0.3)


@pytest.mark.parametrize("kind", [CurveSampler, CurvePruner])
def test_the_epoch_that_counts_is_the_best_or_the_last(kind: Any) -> None:
    with pytest.raises(UsageError, match="not known"):
        kind(max_epochs=10, epoch_policy="first")


def test_the_first_trials_are_stopped_at_the_first_rung_but_not_those_that_were_enqueued() -> None:
    study = new_study()
    study.enqueue_trial({"rate": 1e-3, "width": 16})
    optimize(study, curve, budget=80)
    training = Training(EPOCHS)
    lengths = [len(trial.intermediate_values) for trial in study.trials[: training.n_start]]
    assert lengths == [EPOCHS, *[training.rungs[0]] * (training.n_start - 1)]


@pytest.mark.parametrize(("n_learned", "n_more"), [(0, 0), (3, 0), (5, 2)])
def test_the_model_waits_for_some_that_are_spread_and_those_of_earlier_studies_are_stopped_too(
    n_learned: int, n_more: int
) -> None:
    study = new_study(seed=0)
    for number in range(n_learned):
        study.enqueue_trial({}, user_attrs={LEARNED_FROM: {"study": "old", "trial": number, "params": {}}})
    training = Training(EPOCHS)
    for _ in range(training.n_start + n_more):
        assert believe(study, training) is None
        trial = study.ask()
        values = curve(trial)[: training.rungs[0]]
        for epoch, value in enumerate(values, 1):
            trial.report(value, epoch)
        assert trial.should_prune()
        study.tell(trial, state=TrialState.PRUNED)
    assert believe(study, training) is not None


def test_the_longer_a_trial_takes_to_begin_the_fewer_are_begun() -> None:
    begun = []
    for start_epochs in (0.0, 2.0, 6.0):
        study = new_study(start_epochs=start_epochs)
        optimize(study, curve, budget=200)
        begun.append(len(study.trials))
        assert min(len(trial.intermediate_values) for trial in study.trials) > min(start_epochs, EPOCHS / 10)
    assert begun == sorted(begun, reverse=True)
    assert begun[0] > 1.5 * begun[2]


@pytest.mark.parametrize(
    ("max_epochs", "start_epochs", "epochs"),
    [(50, 1.0, (3, 7, 19)), (50, 12.5, (7, 19)), (20, 0.0, (1, 3, 8)), (20, 5.0, (3, 8)), (10, 0.1, (1, 4))],
)
def test_rungs_come_after_what_a_trial_takes_to_begin_or_a_tenth_of_its_epochs(
    max_epochs: int, start_epochs: float, epochs: tuple[int, ...]
) -> None:
    assert Training(max_epochs, start_epochs).rungs == epochs


@pytest.mark.parametrize(
    ("max_epochs", "start_epochs", "n"),
    [(50, 1.0, 8), (20, 0.0, 8), (20, 1.0, 5), (20, 5.0, 4), (10, 0.1, 8), (10, 1.0, 4), (50, 30.0, 4), (1, 0.0, 4)],
)
def test_as_many_trials_come_before_the_model_as_take_as_long_as_a_whole_one(
    max_epochs: int, start_epochs: float, n: int
) -> None:
    assert Training(max_epochs, start_epochs).n_start == n


def test_where_trials_take_long_to_begin_the_fifth_suggestion_is_the_models() -> None:
    suggested = []
    for start_epochs in (0.0, 5.0):
        study = new_study(start_epochs=start_epochs)
        study.enqueue_trial({"rate": 1e-3, "width": 16})
        for _ in range(4):
            trial = study.ask()
            study.tell(trial, curve(trial)[-1])
        trial = study.ask()
        curve(trial)
        suggested.append(trial.params)
    assert suggested[0] != suggested[1]


@pytest.mark.parametrize(("start_epochs", "n"), [(0.0, 8), (5.0, 4)])
def test_no_trial_goes_on_without_a_model_and_some_do_with_one(start_epochs: float, n: int) -> None:
    study, training = new_study(start_epochs=start_epochs), Training(EPOCHS, start_epochs)
    optimize(study, curve, budget=150)
    lengths = [len(trial.intermediate_values) for trial in study.trials]
    assert set(lengths[:n]) == {training.rungs[0]}
    assert max(lengths[n : n + 4]) > training.rungs[0]


@pytest.mark.parametrize("start_epochs", [-1, math.nan, math.inf, True, "one"])
def test_what_beginning_takes_is_a_number_of_epochs(start_epochs: Any) -> None:
    with pytest.raises(UsageError, match="out of range"):
        CurvePruner(max_epochs=10, start_epochs=start_epochs)


def test_the_pruner_works_beside_any_sampler() -> None:
    study = optuna.create_study(direction="maximize", sampler=RandomSampler(seed=0), pruner=CurvePruner(EPOCHS))
    optimize(study, curve, budget=300)
    states = [trial.state for trial in study.trials]
    assert TrialState.PRUNED in states
    assert TrialState.COMPLETE in states


def test_no_trial_is_stopped_at_its_last_epoch() -> None:
    assert all(epoch < n for n in (1, 2, 5, 50) for epoch in Training(n).rungs)
    assert Training(50).rungs


@pytest.mark.parametrize("max_epochs", [0, -1, 2.5, True, "ten"])
def test_max_epochs_is_a_number_of_epochs(max_epochs: Any) -> None:
    with pytest.raises(UsageError, match="out of range"):
        CurveSampler(max_epochs=max_epochs)
    with pytest.raises(UsageError, match="out of range"):
        CurvePruner(max_epochs=max_epochs)


def test_a_sampler_of_a_finite_space_tries_each_configuration_once() -> None:
    study = new_study()
    sampler = SeededSampler(lambda seed: CurveSampler(max_epochs=EPOCHS, seed=seed), 0)
    study.sampler = sampler
    for _ in range(12):
        trial = study.ask()
        value = trial.suggest_int("x", 1, 4) + trial.suggest_categorical("y", [0.0, 0.5, 0.7])
        study.tell(trial, value)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 12
    assert sampler.is_done(study)


def test_training_of_a_single_epoch_is_searched_too() -> None:
    study = optuna.create_study(sampler=CurveSampler(max_epochs=1, seed=0), pruner=CurvePruner(max_epochs=1))

    def objective(trial: BaseTrial) -> float:
        value = (trial.suggest_float("x", 0.0, 1.0) - 0.3) ** 2 + 0.1 * abs(trial.suggest_int("y", 1, 5, log=True) - 2)
        trial.report(value, 1)
        assert not trial.should_prune()
        return value

    study.optimize(objective, n_trials=20)
    assert study.best_value < 0.001
