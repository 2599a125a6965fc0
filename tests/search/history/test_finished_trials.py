"""Each finished trial is learned from once, whatever order trials end in."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial

from autotune.search.history import FinishedTrials


class Numbers:
    """Remembers which trials it has learned from."""

    def __init__(self) -> None:
        self.learned: list[int] = []

    def learn(self, trial: FrozenTrial) -> None:
        self.learned.append(trial.number)


def look(finished: FinishedTrials[Numbers], study: optuna.Study) -> tuple[list[int], list[int]]:
    with finished.look(study.get_trials(deepcopy=False)) as (numbers, unfinished):
        return list(numbers.learned), [trial.number for trial in unfinished]


def test_each_finished_trial_is_learned_from_once() -> None:
    finished, study = FinishedTrials(Numbers), optuna.create_study()
    assert look(finished, study) == ([], [])
    first, second = study.ask(), study.ask()
    assert look(finished, study) == ([], [0, 1])
    study.tell(second, 1.0)
    third = study.ask()
    assert look(finished, study) == ([1], [0, 2])
    assert look(finished, study) == ([1], [0, 2])
    study.tell(third, 1.0)
    study.tell(first, state=optuna.trial.TrialState.FAIL)
    assert look(finished, study) == ([1, 0, 2], [])


def test_another_study_is_learned_anew() -> None:
    finished = FinishedTrials(Numbers)
    for n_trials in (3, 2, 4):
        study = optuna.create_study()
        study.optimize(lambda trial: 1.0, n_trials=n_trials)
        assert look(finished, study) == (list(range(n_trials)), [])
