"""The usual values of hyperparameters, of which only a trial takes note that wants to know them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from autotune import spaces
from autotune.search.transfer import fitted

OF_OPTIMIZER = {
    "sgd": {"sgd_learning_rate": 0.01, "sgd_one_minus_momentum": 0.1, "sgd_nesterov": True},
    "lion": {
        **{"lion_learning_rate": 1e-4, "lion_weight_decay": 0.04},
        **{"lion_one_minus_beta_1": 0.1, "lion_one_minus_beta_2": 0.01},
    },
}


class Noting:
    """A trial that answers with the low end of a range, or the first choice.

    Attributes:
        usual: What it was told.
        asked: The distributions that it was asked for, also beside.
    """

    def __init__(self) -> None:
        self.usual: dict[str, Any] = {}
        self.asked: dict[str, BaseDistribution] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.asked[name] = FloatDistribution(low, high, log=log)
        return low

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        self.asked[name] = IntDistribution(low, high, step=step)
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.asked[name] = CategoricalDistribution(choices)
        return choices[0]

    def note_usual(self, name: str, value: Any) -> None:
        self.usual[name] = value

    def beside(self) -> Noting:
        other = Noting()
        other.usual, other.asked = self.usual, self.asked
        return other


def noted(ask: Callable[..., Any], *args: Any, **given: Any) -> Noting:
    trial: Any = Noting()
    ask(trial, *args, **given)
    found: Noting = trial
    return found


@pytest.mark.parametrize(
    ("ask", "args", "n"),
    [
        (spaces.optimizer, (), 24),
        (spaces.loss, (), 3),
        (spaces.penalty, (), 3),
        (spaces.dropout, (), 1),
        (spaces.weight_decay, (), 1),
        (spaces.batch_normalization, (), 1),
        (spaces.early_stopping, ("val_loss",), 1),
        (spaces.schedule, (4,), 5),
        (spaces.structure, (), 6),
        (spaces.batch_size, (), 1),
        (spaces.augmentation, (), 3),
        (partial(spaces.augmentation, contrast=(0.0, 0.3)), (), 4),
        (partial(spaces.focal, alpha=(0.1, 1.0)), (), 2),
    ],
)
def test_each_value_that_is_searched_has_a_usual_one_in_its_range_in_all_branches(ask: Any, args: Any, n: int) -> None:
    trial = noted(ask, *args)
    assert trial.usual.keys() == trial.asked.keys()
    assert len(trial.usual) == n
    assert fitted(trial.usual, trial.asked) == pytest.approx(trial.usual)


@pytest.mark.parametrize(("name", "usual"), OF_OPTIMIZER.items())
def test_functions_that_are_not_chosen_say_theirs_too(name: str, usual: dict[str, Any]) -> None:
    found = noted(spaces.optimizer).usual
    assert found["optimizer"] == "adam"
    assert {key: value for key, value in found.items() if key.startswith(f"{name}_")} == usual


@pytest.mark.parametrize("ask", [spaces.adam, spaces.nadam, spaces.rmsprop])
def test_those_of_optimizers_are_the_defaults_of_keras_where_the_docstring_says_so(ask: Any) -> None:
    made = ask(FixedTrial(noted(ask).usual))
    of_keras = getattr(keras.optimizers, type(made).__name__)().get_config()
    numbers = {name: value for name, value in of_keras.items() if isinstance(value, float)}
    assert "learning_rate" in numbers
    assert {name: made.get_config()[name] for name in numbers} == pytest.approx(numbers)


def test_what_is_fixed_has_none_and_a_range_of_ones_own_has_it_beside() -> None:
    assert noted(spaces.dropout, 0.4).usual == {}
    trial = noted(spaces.adam, learning_rate=(1e-5, 1e-4), one_minus_beta_1=0.1, amsgrad=False)
    assert trial.usual.keys() == {"adam_learning_rate", "adam_one_minus_beta_2", "adam_epsilon"}
    assert fitted(trial.usual, trial.asked)["adam_learning_rate"] == 1e-4


def test_a_choice_of_ones_own_that_cannot_be_made_takes_nothing_from_the_others() -> None:
    def broken(trial: optuna.Trial) -> keras.optimizers.Optimizer:
        raise ValueError("its GPU is missing")

    found = noted(spaces.optimizer, [spaces.adam, broken, spaces.sgd]).usual
    assert OF_OPTIMIZER["sgd"].items() < found.items()


def test_any_other_trial_is_asked_for_what_it_chooses_alone() -> None:
    made = []

    def other(trial: optuna.Trial) -> keras.optimizers.Optimizer:
        made.append(trial)
        return spaces.sgd(trial)

    spaces.optimizer(FixedTrial({**noted(spaces.adam).usual, "optimizer": "adam"}), [spaces.adam, other])
    assert made == []


def test_a_usual_value_below_a_logarithmic_range_is_its_low_end() -> None:
    trial = noted(spaces.cosine, 4, floor=(1e-3, 0.3))
    assert fitted(trial.usual, trial.asked)["cosine_floor"] == 1e-3
