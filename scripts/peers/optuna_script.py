"""A search as one writes it with Optuna alone, after the Keras example of optuna-examples.

TPE, MedianPruner with its defaults, the Keras pruning callback of optuna-integration, records in memory, one process.
A trial's value is the validation accuracy after its last epoch. TensorFlow has all cores.
"""

from __future__ import annotations

import keras
import optuna
from optuna_integration import KerasPruningCallback

from peers.methods import Search
from peers.training import MONITOR, Trainer


def search(search: Search) -> None:
    """Search until the process is ended."""
    problem, journal = search.problem, search.journal
    trainer = Trainer(problem, problem.rows(search.data_dir, search.seed), journal, search.seed)

    def objective(trial: optuna.Trial) -> float:
        keras.backend.clear_session()
        values = problem.suggest(trial)
        pruning = KerasPruningCallback(trial, MONITOR)
        history = trainer.fit(trainer.model(values), values, str(trial.number), problem.epochs, [pruning])
        return history.history[MONITOR][-1]

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=search.seed),
        pruner=optuna.pruners.MedianPruner(),
    )
    study.optimize(objective, callbacks=[lambda _, trial: journal.note_end(str(trial.number))])
