"""Trials are ranked by their first value, in the direction of the study."""

from __future__ import annotations

import optuna
import pytest

from autotune.search.history import best_first


@pytest.mark.parametrize(("direction", "expected"), [("maximize", [1, 3, 0, 2]), ("minimize", [2, 0, 1, 3])])
def test_the_best_come_first_and_equal_ones_in_their_order(direction: str, expected: list[int]) -> None:
    study = optuna.create_study(direction=direction)
    for value in (0.5, 0.7, 0.1, 0.7):
        study.tell(study.ask(), value)
    assert [trial.number for trial in best_first(study, study.trials)] == expected


def test_of_several_objectives_the_first_decides() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for values in ((0.1, 0.0), (0.9, 5.0), (0.5, 1.0)):
        study.tell(study.ask(), values)
    assert [trial.number for trial in best_first(study, study.trials)] == [1, 2, 0]
