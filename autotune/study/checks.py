"""Checks of a `StudySpec`: each mistake raises an error that says how to correct it.

Whether Keras reports the metric in `monitor` shows after the first epoch: `training/fitting/epoch_keeper.py` checks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import optuna

from autotune.data.splits import Given, GroupKFold, Holdout, KFold, Latest, Splitter
from autotune.errors import StudyFileError
from autotune.stopping_rule import StopWhenFlat
from autotune.study_name import EXPECTED, cut, is_study_name

Direction = Literal["maximize", "minimize"]
EpochPolicy = Literal["best", "last"]
Cost = Literal["parameters", "latency"]
EVERY_STUDY = "all"
"""In `learn_from`: all searches of the storage."""
FOLDS = (Holdout, KFold, GroupKFold, Latest, Given)


def check(spec: Any) -> None:
    """Check a `StudySpec`; its `__post_init__` calls this.

    Raises:
        StudyFileError: If an argument has a wrong type or value, or contradicts another one.
    """
    _check_name(spec.name)
    _check_kind(spec)
    _check_parts(spec)
    _check_choice("direction", spec.direction, ("maximize", "minimize"))
    _check_minimize(spec)
    _check_rows(spec)
    _check_choice("epoch_policy", spec.epoch_policy, ("best", "last"))
    _check_at_least("epochs", spec.epochs, 1)
    _check_at_least("epochs_per_pass", spec.epochs_per_pass, 1)
    _check_at_least("devices_per_trial", spec.devices_per_trial, 1)
    _check_at_least("n_trials", spec.n_trials, 1)
    _check_at_least("seed", spec.seed, 0)
    _check_at_least("keep_models", spec.keep_models, 0)
    _check_at_least("max_failures_in_a_row", spec.max_failures_in_a_row, 1)
    _check_at_least("max_retries", spec.max_retries, 0)
    _check_at_least("retry_errors", spec.retry_errors, 0)
    _check_choice("count_failed", spec.count_failed, (False, True))
    _check_choice("one_hot", spec.one_hot, (False, True))
    _check_stop(spec.stop)
    _check_timeout(spec.trial_timeout_s)
    _check_search(spec)


def _check_name(name: str) -> None:
    if not is_study_name(name):
        raise StudyFileError(f"name={cut(name)} cannot name a study.", EXPECTED, "Choose a name like 'mnist-cnn'.")


def _check_kind(spec: Any) -> None:
    keras_parts = {"build": spec.build, "dataset": spec.dataset, "monitor": spec.monitor}
    given = [name for name, value in keras_parts.items() if value is not None]
    missing = [name for name, value in keras_parts.items() if value is None]
    if spec.objective is not None and given:
        raise StudyFileError(
            f"the study has an objective and also {', '.join(given)}.",
            "A study is either a Keras study (build, dataset, monitor) or an Optuna objective.",
            "Remove one of the two.",
        )
    if spec.objective is None and missing:
        raise StudyFileError(
            f"the study has no {' and no '.join(missing)}.",
            "A Keras study needs build, dataset and monitor; a plain Optuna study needs objective.",
            f"Give StudySpec {', '.join(f'{name}=...' for name in missing)}.",
        )


def _check_parts(spec: Any) -> None:
    for name in ("build", "fit", "batch", "score", "objective", "test_dataset"):
        value = getattr(spec, name)
        if value is not None and not callable(value):
            raise StudyFileError(
                f"{name}={value!r} cannot be called.",
                f"`{name}` is a function{'' if name == 'test_dataset' else ' that takes a trial'}.",
                f"Write def {name}(...): ... and give its name.",
            )
    if spec.baseline is not None and not isinstance(spec.baseline, Mapping):
        raise StudyFileError(
            f"baseline={spec.baseline!r} is no dict.",
            "Expected a dict from each hyperparameter of the configuration to beat to its value.",
            'Write, for example, baseline={"blocks": 3, "dropout": 0.0}.',
        )
    if not isinstance(spec.enqueue, (list, tuple)) or not all(isinstance(one, Mapping) for one in spec.enqueue):
        raise StudyFileError(
            f"enqueue={spec.enqueue!r} is no list of dicts.",
            "Expected a dict from hyperparameters to values for each of the first trials.",
            'Write, for example, enqueue=[{"blocks": 3, "dropout": 0.2}].',
        )
    guesses = [spec.guess] if isinstance(spec.guess, Mapping) else spec.guess or ()
    if not isinstance(guesses, (list, tuple)) or not all(isinstance(one, Mapping) and one for one in guesses):
        raise StudyFileError(
            f"guess={spec.guess!r} is no dict of values, and no list of such dicts.",
            "Expected a dict from hyperparameters, at least one, to the values that you expect to be good, or None.",
            'Write, for example, guess={"learning_rate": 1e-3, "dropout": 0.2}.',
        )
    names = [spec.learn_from] if isinstance(spec.learn_from, str) else spec.learn_from
    if not isinstance(names, (list, tuple)) or not all(isinstance(one, str) and one for one in names):
        raise StudyFileError(
            f"learn_from is a {type(spec.learn_from).__name__}, and no list of names.",
            'Expected the names of earlier studies, or "all" for all studies of the storage.',
            'Write, for example, learn_from=["mnist-cnn"].',
        )
    if isinstance(spec.folds, type) or not isinstance(spec.folds, (*FOLDS, Splitter)):
        raise StudyFileError(
            f"folds={spec.folds!r} is unknown.",
            "Expected Holdout(fraction), KFold(k), GroupKFold(k), Latest(fraction, gap), Given(rows), or a splitter of "
            "scikit-learn.",
            "Write, for example, folds=Holdout(0.1).",
        )


def _check_minimize(spec: Any) -> None:
    costs = spec.minimize
    is_list = isinstance(costs, (list, tuple)) and len(set(map(str, costs))) == len(costs)
    if not is_list or not set(costs) <= set(get_args(Cost)):
        raise StudyFileError(
            f"minimize={costs!r} is unknown.",
            f"Expected a list of costs to minimize, each at most once: {', '.join(map(repr, get_args(Cost)))}.",
            'Write, for example, minimize=["parameters"].',
        )
    if costs and spec.objective is not None:
        raise StudyFileError(
            f"the study has an objective and also minimize={costs!r}.",
            "The cost of a network is measured in a Keras study only (build, dataset, monitor).",
            "Leave `minimize` out, or return one value that weighs both.",
        )


def _check_rows(spec: Any) -> None:
    value: object = spec.train_fraction
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= 1:
        raise StudyFileError(
            f"train_fraction={value!r} is out of range.",
            "It is the share of the training rows that the search trains on, larger than 0 and at most 1.",
            "Write, for example, train_fraction=0.25, or leave it out to search on all of them.",
        )
    given = [name for name in ("train_fraction", "epochs_per_pass", "devices_per_trial") if getattr(spec, name) != 1]
    given += [name for name in ("batch", "score") if getattr(spec, name) is not None]
    if given and spec.objective is not None:
        raise StudyFileError(
            f"the study has an objective and also {given[0]}={getattr(spec, given[0])!r}.",
            "This argument works in a Keras study only (build, dataset, monitor).",
            f"Leave `{given[0]}` out, and do it in the objective.",
        )


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise StudyFileError(
            f"{name}={value!r} is unknown.",
            f"Choices: {', '.join(map(str, choices))}.",
            f"Set `{name}` in the study file.",
        )


def _check_stop(value: object) -> None:
    if value is not None and not isinstance(value, StopWhenFlat):
        raise StudyFileError(
            f"stop={value!r} is no rule.",
            "Expected stop_when_flat(patience), or None.",
            "Write, for example, stop=autotune.stop_when_flat(patience=20).",
        )


def _check_timeout(value: object) -> None:
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0):
        return
    raise StudyFileError(
        f"trial_timeout_s={value!r} is out of range.",
        "Expected a number of seconds larger than 0, or None for no limit.",
        "Set `trial_timeout_s` in the study file.",
    )


def _check_at_least(name: str, value: object, least: int) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return
    raise StudyFileError(
        f"{name}={value!r} is out of range.",
        f"`{name}` is an integer of at least {least}.",
        f"Set `{name}` to {least} or more.",
    )


def _check_search(spec: Any) -> None:
    if isinstance(spec.sampler, optuna.samplers.BaseSampler) or (spec.sampler and not callable(spec.sampler)):
        kind = type(spec.sampler).__name__
        raise StudyFileError(
            f"sampler is a {kind} object.",
            "Expected a function from a seed to a sampler, because seeds come from (study seed, trial).",
            f"Write sampler=lambda seed: optuna.samplers.{kind}(seed=seed).",
        )
    if spec.pruner is not None and not isinstance(spec.pruner, optuna.pruners.BasePruner):
        raise StudyFileError(
            f"pruner={spec.pruner!r} is no Optuna pruner.",
            "Expected an object such as optuna.pruners.MedianPruner(n_warmup_steps=3).",
            "Use optuna.pruners.NopPruner() to prune nothing, or leave it out.",
        )
