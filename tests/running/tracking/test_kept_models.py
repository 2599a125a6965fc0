"""The models of the best trials stay, and those that fall behind go."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from autotune.running.tracking.kept_models import KeptModels
from autotune.training.checkpoints.folder import trial_folder


def end(study: optuna.Study, folder: Path, *values: float) -> None:
    """End a trial that leaves a model."""
    trial = study.ask()
    model = trial_folder(folder, trial.number).model
    model.parent.mkdir(parents=True)
    model.touch()
    study.tell(trial, list(values))


def kept(folder: Path) -> list[int]:
    return sorted(int(model.parent.name) for model in folder.glob("trials/*/model.keras"))


@pytest.mark.parametrize(("direction", "expected"), [("maximize", [1, 3]), ("minimize", [0, 2])])
def test_the_best_two_are_kept_over_a_restart(tmp_path: Path, direction: str, expected: list[int]) -> None:
    study = optuna.create_study(direction=direction)
    for value in (0.2, 0.9, 0.1):
        end(study, tmp_path, value)
    models = KeptModels(study, tmp_path, 2, lambda: study.trials)
    models.tidy()
    assert len(kept(tmp_path)) == 2
    assert models.would_keep(1.0) == (direction == "maximize")
    assert not models.would_keep(0.15 if direction == "maximize" else 0.5)
    end(study, tmp_path, 0.5)
    models.tidy()
    assert kept(tmp_path) == expected


def test_a_model_of_which_nothing_more_is_new_is_not_looked_for_again(tmp_path: Path) -> None:
    study = optuna.create_study()
    for value in (0.1, 0.2):
        end(study, tmp_path, value)
    models = KeptModels(study, tmp_path, 1, lambda: study.trials)
    models.tidy()
    put_back = trial_folder(tmp_path, 1).model
    put_back.touch()
    models.tidy()
    assert put_back.exists()


def test_with_several_objectives_the_front_comes_first(tmp_path: Path) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for values in ((0.9, 5.0), (0.8, 6.0), (0.5, 1.0)):
        end(study, tmp_path, *values)
    KeptModels(study, tmp_path, 2, lambda: study.trials).tidy()
    assert kept(tmp_path) == [0, 2]
