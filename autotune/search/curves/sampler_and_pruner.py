"""`CurveSampler` and `CurvePruner`, which use the model of learning curves.

Both build the same model from the stored trials: a Gaussian process over configurations and epochs. So each report of a
trial, also of one that was stopped early, improves the next suggestion. The sampler suggests the configuration with the
largest expected improvement on the best trial *at the last epoch*. The pruner stops a trial at a rung if a new
configuration has a larger expected improvement for each epoch that it costs.

What is covered: every kind of parameter, also conditional ones; trials that failed, diverged, or run at the same time;
folds; several objectives, of which the first counts; the sampler with any other pruner, the pruner with any other
sampler.
What is not covered: studies whose steps are not epochs.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from autotune.errors import UsageError
from autotune.search.curves.belief import Belief, believe
from autotune.search.curves.data import Curve, curve_of
from autotune.search.curves.looks import Looks, looks_at
from autotune.search.curves.one_thread import one_thread
from autotune.search.curves.proposals import Proposal, expected_improvement, propose
from autotune.search.curves.space import CurveSpace, searched
from autotune.search.curves.training import Training
from autotune.search.history import all_trials, direction_sign
from autotune.seeds import derive_seed
from autotune.study import EpochPolicy

Kind = TypeVar("Kind")
_TO_COME = 2**62  # the number of a new trial in the model


class CurveSampler(BaseSampler):
    """Suggest the configuration with the largest expected improvement on the best trial at the last epoch.

    The first suggestions are a scrambled Sobol sequence. Of the others about half, chosen at random, are bold: they
    explore regions that the model knows little about. Suggestions depend only on the seed and the stored trials.

    Args:
        max_epochs: Number of epochs of a trial that is not stopped, at least 1.
        seed: The seed, at least 0.
        start_epochs: The cost of starting a trial (its process, its data, the network), in epochs, at least 0. A larger
            cost means fewer trials before the first suggestion by the model.
        epoch_policy: Which report is the value of a trial: "last", or "best" for the best report so far. None for the
            study file's `epoch_policy`, and "last" without a study file.

    Raises:
        UsageError: If an argument is out of range.

    Example:
        >>> study = optuna.create_study(
        ...     sampler=CurveSampler(max_epochs=50, seed=0), pruner=CurvePruner(max_epochs=50), direction="maximize"
        ... )
    """

    def __init__(
        self, max_epochs: int, seed: int = 0, start_epochs: float = 1.0, epoch_policy: EpochPolicy | None = None
    ) -> None:
        self.training = Training(max_epochs, start_epochs, epoch_policy)
        self._seed = seed

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        with one_thread():
            return searched(t for t in all_trials(study) if t.number != trial.number and t.state != TrialState.WAITING)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        with one_thread():
            belief = believe(study, self.training, search_space, trial.number)
            if belief is None:
                return self._start(trial, search_space)
            rng = np.random.default_rng(derive_seed(self._seed, "trial", trial.number))
            return belief.space.to_params(propose(belief, rng).u)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        space = CurveSpace({param_name: param_distribution}, {})
        rng = np.random.default_rng(derive_seed(self._seed, "trial", trial.number, "parameter", param_name))
        return space.to_params(rng.random(1))[param_name]

    def _start(self, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """Return the trial's point of a scrambled Sobol sequence."""
        from scipy.stats import qmc  # takes a while to import

        sequence = qmc.Sobol(len(search_space), scramble=True, seed=derive_seed(self._seed, "start"))
        if trial.number > 0:  # SciPy refuses to go forward by 0
            sequence.fast_forward(trial.number)
        return CurveSpace(search_space, {}).to_params(sequence.random(1)[0])


class CurvePruner(BasePruner):
    """Stop a trial if a new one has a larger expected improvement for each epoch that it costs.

    A good trial may be stopped too; `predicted_best` finds it. The first trials, before there is a model, are stopped
    at their first rung, unless they were enqueued.

    Args:
        max_epochs: Number of epochs of a trial that is not stopped, at least 1.
        start_epochs: As for `CurveSampler`. A larger cost means fewer new trials. No trial is stopped before it has
            trained longer than this, or longer than a tenth of its epochs.
        epoch_policy: As for `CurveSampler`.

    Raises:
        UsageError: If an argument is out of range.
    """

    def __init__(self, max_epochs: int, start_epochs: float = 1.0, epoch_policy: EpochPolicy | None = None) -> None:
        self.training = Training(max_epochs, start_epochs, epoch_policy)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        curve = curve_of(trial, direction_sign(study), self.training)
        if curve is None or not curve.epochs or not self._is_due(trial, curve.epochs[-1]):
            return False
        with one_thread():
            belief = believe(study, self.training, None, trial.number)
            if belief is None:
                return not trial.system_attrs.get("fixed_params")  # an enqueued trial is not stopped
            if curve.epochs[-1] == self.training.max_epochs:
                return _expects_less_than_of_new(belief, curve)
            return self._is_worth_less_than_new(belief, curve)

    def best_first(self, study: optuna.Study) -> list[FrozenTrial]:
        """Return the complete and the pruned trials by their expected final values, the best first."""
        over = (TrialState.COMPLETE, TrialState.PRUNED)
        return [trial for trial in by_predicted_end(study, self.training) if trial.state in over]

    def _is_due(self, trial: FrozenTrial, epoch: int) -> bool:
        """Tell whether this is the epoch of a rung, or the end of a later fold."""
        last_step = trial.last_step
        return epoch in self.training.rungs or (last_step is not None and last_step > self.training.max_epochs)

    def _is_worth_less_than_new(self, belief: Belief, curve: Curve) -> bool:
        trained = curve.epochs[-1]
        later = [epoch for epoch in self.training.looks if epoch > trained]
        u = belief.space.to_cube([curve.trial.params])[0]
        looks = looks_at(belief.with_curve(curve), u, curve.trial.number, later, [epoch - trained for epoch in later])
        best = belief.best_seen
        own = max([best, *belief.scale.standardized(curve.finite)])
        new, succeeds = _looks_at_new(belief)
        return looks.worth(own) < succeeds * new.worth(best)


def with_epoch_policy(kind: Kind, epoch_policy: EpochPolicy) -> Kind:
    """Return a sampler or a pruner; a `CurveSampler` or `CurvePruner` without an epoch policy gets this one."""
    if isinstance(kind, CurveSampler | CurvePruner) and kind.training.epoch_policy is None:
        kind = copy.copy(kind)
        kind.training = replace(kind.training, epoch_policy=epoch_policy)
    return kind


def predicted_best(
    study: optuna.Study, max_epochs: int, start_epochs: float = 1.0, epoch_policy: EpochPolicy | None = None
) -> FrozenTrial:
    """Return the trial with the best expected final value, which does not depend on a single lucky report.

    Args:
        study: A study with a trial that has reported something.
        max_epochs: The last epoch.
        start_epochs: As for `CurveSampler`.
        epoch_policy: Which report is the value of a trial; None for the last.

    Raises:
        UsageError: If no trial has a value.
    """
    return by_predicted_end(study, Training(max_epochs, start_epochs, epoch_policy))[0]


def by_predicted_end(study: optuna.Study, training: Training) -> list[FrozenTrial]:
    """Return the trials that have reported something by their expected final values, the best first.

    Each expected value is lowered by a part of its standard deviation, so that a trial that was stopped early must be
    clearly better.

    Args:
        study: A study with a trial that has reported something.
        training: The settings of its training.

    Raises:
        UsageError: If no trial has a value.
    """
    with one_thread():
        belief = believe(study, training)
    if belief is not None:
        return [belief.curves[at].trial for at in np.argsort(-belief.cautious_ends, kind="stable")]
    sign = direction_sign(study)
    trials = study.get_trials(deepcopy=False)
    curves = [c for t in trials if (c := curve_of(t, sign, training)) is not None]
    known = [curve for curve in curves if curve.epochs and np.isfinite(curve.values[-1])]
    if not known:
        raise UsageError(
            f"the study {study.study_name} has no trial with a value.",
            "The best trial is chosen from trials with at least one report.",
            "Run a trial first.",
        )
    return [curve.trial for curve in sorted(known, key=lambda curve: -curve.values[-1])]


def _expects_less_than_of_new(belief: Belief, curve: Curve) -> bool:
    """Tell whether a trial with unfinished folds has a smaller expected improvement than a new one."""
    u = belief.space.to_cube([curve.trial.params])
    mean, deviation = belief.with_curve(curve).predict_ends(u, curve.trial.number)
    return bool(expected_improvement(mean, deviation, belief.best)[0] < _new(belief).improvement)


@functools.lru_cache(maxsize=4)
def _looks_at_new(belief: Belief) -> tuple[Looks, float]:
    """Return the looks at the best new configuration, and its probability of success; 0 if there is no new one."""
    proposal, looks = _new(belief), belief.training.looks
    u = belief.space.to_values(proposal.u[None])  # not a point between the steps of a coarse space
    succeeds = 0.0 if proposal.improvement < 0.0 else float(belief.feasibility.probability(u)[0])
    costs = [belief.training.start_epochs + epoch for epoch in looks]
    return looks_at(belief, u[0], _TO_COME, looks, costs), succeeds


@functools.lru_cache(maxsize=4)
def _new(belief: Belief) -> Proposal:
    """Return the best new configuration; it is searched once for each number of curves."""
    return propose(belief, np.random.default_rng(len(belief.curves)))
