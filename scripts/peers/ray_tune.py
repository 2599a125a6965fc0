"""A search by Ray Tune: OptunaSearch (TPE) with ASHA, after Ray's guides to both.

A local cluster with as many CPUs as there are cores, shared equally by the trials that run at a time; TensorFlow uses
as many threads as the trial has CPUs. The space is given as Optuna's define-by-run function, Ray's way to conditional
spaces. Arrays travel by `with_parameters`; `reuse_actors` spares the trials after the first the import of TensorFlow;
no checkpoints, which ASHA does not need. ASHA has its defaults (one epoch of grace, a factor of 4).
"""

from __future__ import annotations

from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler
from ray.tune.search.optuna import OptunaSearch

from peers.journal import Journal
from peers.methods import Search
from peers.problems import Problem, Rows

_METRIC = "val_accuracy"


def search(search: Search) -> None:
    """Search until the process is ended."""
    problem, n_cpus = search.problem, search.cores / search.slots
    ray.init(address="local", num_cpus=search.cores, include_dashboard=False)
    rows = problem.rows(search.data_dir, search.seed)
    trainable = tune.with_parameters(
        _train, problem=problem, rows=rows, journal=search.journal, seed=search.seed, threads=max(1, int(n_cpus))
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": n_cpus}),
        tune_config=tune.TuneConfig(
            metric=_METRIC,
            mode="max",
            search_alg=OptunaSearch(problem.suggest, metric=_METRIC, mode="max", seed=search.seed),
            scheduler=AsyncHyperBandScheduler(max_t=problem.epochs),
            num_samples=-1,
            max_concurrent_trials=search.slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(search.folder), verbose=0, callbacks=[_Ends(search.journal)]),
    )
    tuner.fit()


class _Ends(tune.Callback):
    """Notes in the driver when a trial has ended, which the trial itself may not see."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._journal.note_end(trial.trial_id)


def _train(config: dict[str, Any], problem: Problem, rows: Rows, journal: Journal, seed: int, threads: int) -> None:
    # Here and not above: the driver needs no TensorFlow.
    import keras
    import tensorflow as tf

    from peers.training import Trainer

    if not tf.config.list_physical_devices("GPU"):
        _set_threads(tf, threads)
    keras.backend.clear_session()
    trainer = Trainer(problem, rows, journal, seed)
    report = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: tune.report({_METRIC: logs[_METRIC]}))
    trainer.fit(trainer.model(config), config, tune.get_context().get_trial_id(), problem.epochs, [report])


def _set_threads(tf: Any, threads: int) -> None:
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:  # an actor that is used again has them
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
