"""The search methods that are samplers and pruners of Optuna, ours among them, for benchmarks of search.

Each is asked and told as Optuna's own examples do it: `report` and `should_prune` after each epoch; the value told is
that after the last. The stock methods hand over the trial whose last report is the best, whatever became of it. That is
better for them than `study.best_trial`, which does not look at stopped and running trials: on the development tasks,
one seed, the regret of TPE with successive halving was 0.70 instead of 0.88 after 100 epochs. After 1,000 epochs the
two rules differed by less than 0.01 for each method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial

import optuna
from lcbench import EPOCHS, Config, Space
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from simulated_search import Job, Method, NotHereError

from autotune.search.curves import CurvePruner, CurveSampler, predicted_best
from autotune.search.history import GUESS, LEARNED_FROM
from autotune.search.pruners import NoiseAwarePruner
from autotune.search.samplers import SeededSampler, tpe
from autotune.search.transfer import Guess, Origin
from autotune.study import EpochPolicy


def random(space: Space, seed: int) -> Method:
    """Random search without pruning."""
    return OptunaMethod(space, seed, RandomSampler(seed=seed), NopPruner())


def optuna_defaults(space: Space, seed: int) -> Method:
    """TPE and the median pruner, as `create_study` has them."""
    return OptunaMethod(space, seed, TPESampler(seed=seed), MedianPruner())


def autotune_defaults(space: Space, seed: int) -> Method:
    """What a study file has that names neither: TPE, and a pruner that knows how noisy reports are."""
    return OptunaMethod(space, seed, tpe(seed), NoiseAwarePruner())


def tpe_hyperband(space: Space, seed: int) -> Method:
    """TPE and Optuna's Hyperband, of which only the number of epochs is said."""
    return OptunaMethod(space, seed, TPESampler(seed=seed), HyperbandPruner(max_resource=EPOCHS))


def tpe_halving(space: Space, seed: int) -> Method:
    """TPE and Optuna's asynchronous successive halving: rungs at 3, 9 and 27 epochs, a third goes on."""
    pruner = SuccessiveHalvingPruner(min_resource=3, reduction_factor=3)
    return OptunaMethod(space, seed, TPESampler(seed=seed), pruner)


def optuna_gp(space: Space, seed: int) -> Method:
    """Optuna's Gaussian process and the median pruner.

    Raises:
        NotHereError: If PyTorch, which it needs, is not installed.
    """
    try:
        import torch  # noqa: F401 - Optuna imports it when it first suggests
    except ImportError as error:
        raise NotHereError("GPSampler needs the package torch") from error
    return OptunaMethod(space, seed, GPSampler(seed=seed), MedianPruner())


def curves(space: Space, seed: int, start_epochs: float = 1.0, epoch_policy: EpochPolicy = "last") -> Method:
    """Our sampler and pruner that know learning curves, which hand over what their model predicts to be the best."""
    told = (start_epochs, epoch_policy)
    sampler, pruner = CurveSampler(EPOCHS, seed, *told), CurvePruner(EPOCHS, *told)
    return OptunaMethod(space, seed, sampler, pruner, lambda study: predicted_best(study, EPOCHS, *told))


def learning_curves(space: Space, seed: int, origins: Sequence[Origin] = (), guesses: Sequence[Guess] = ()) -> Method:
    """The same, begun with configurations of earlier searches or guesses, as a study file does it."""
    sampler, pruner = SeededSampler(partial(CurveSampler, EPOCHS), seed, guesses), CurvePruner(EPOCHS)
    return OptunaMethod(space, seed, sampler, pruner, lambda study: predicted_best(study, EPOCHS), origins, guesses)


def learning_tpe(space: Space, seed: int, origins: Sequence[Origin] = (), guesses: Sequence[Guess] = ()) -> Method:
    """What a study file has that names neither sampler nor pruner, begun with configurations of earlier searches."""
    sampler = SeededSampler(tpe, seed, guesses)
    return OptunaMethod(space, seed, sampler, NoiseAwarePruner(), origins=origins, guesses=guesses)


class OptunaMethod:
    """A sampler and a pruner in a study of Optuna in memory.

    Args:
        space: The search space.
        seed: Names the study; Optuna's Hyperband deals trials to brackets by that name.
        sampler: Suggests configurations.
        pruner: Stops trials.
        best: Chooses the trial to hand over; None for the one whose last report is the best.
        origins: The configurations of earlier searches for its first trials.
        guesses: What the author guesses, for trials before these.
    """

    def __init__(
        self,
        space: Space,
        seed: int,
        sampler: BaseSampler,
        pruner: BasePruner,
        best: Callable[[optuna.Study], FrozenTrial] | None = None,
        origins: Sequence[Origin] = (),
        guesses: Sequence[Guess] = (),
    ) -> None:
        self._space = dict(space)
        self._best = best
        self._study = optuna.create_study(
            study_name=f"benchmark-{seed}", direction="maximize", sampler=sampler, pruner=pruner
        )
        self._trials: dict[int, optuna.Trial] = {}
        for guess in guesses:
            self._study.enqueue_trial({}, user_attrs={GUESS: dict(guess)})
        for origin in origins:
            self._study.enqueue_trial({}, user_attrs={LEARNED_FROM: asdict(origin)})

    @property
    def ended(self) -> list[FrozenTrial]:
        """The trials that have ended."""
        return self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))

    def ask(self, worker: int) -> Job:
        trial = self._study.ask(self._space)
        self._trials[trial.number] = trial
        return Job(trial.number, trial.params)

    def report(self, job: Job, epoch: int, accuracy: float) -> bool:
        trial = self._trials[job.trial]
        if math.isnan(accuracy):
            self._study.tell(trial, state=TrialState.FAIL)
            return False
        trial.report(accuracy, epoch)
        if trial.should_prune():
            self._study.tell(trial, state=TrialState.PRUNED)
            return False
        if epoch == job.epochs:
            self._study.tell(trial, accuracy)
            return False
        return True

    def choose(self) -> Config | None:
        return self._best(self._study).params if self._best else None


METHODS: dict[str, Callable[[Space, int], Method]] = {
    "random": random,
    "optuna-defaults": optuna_defaults,
    "autotune-defaults": autotune_defaults,
    "tpe-hyperband": tpe_hyperband,
    "tpe-halving": tpe_halving,
    "optuna-gp": optuna_gp,
    "autotune-curves": curves,
}
LEARNING: dict[str, Callable[..., Method]] = {
    "autotune-curves": learning_curves,
    "autotune-defaults": learning_tpe,
}
"""Those that learn from earlier searches and from guesses, which their functions take besides space and seed."""
