"""What a Keras trial leaves to look at, however it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from autotune.study import StudySpec
from autotune.training.checkpoints.folder import TrialFolder
from autotune.training.outputs.shown import leave_history

pytestmark = pytest.mark.trains

StudyOf = Callable[..., StudySpec]
Bench = Any


def _files(folder: TrialFolder) -> list[str]:
    return sorted(path.name for path in folder.shown.iterdir()) if folder.shown.is_dir() else []


def _history(folder: TrialFolder) -> Any:
    return json.loads((folder.shown / "history.json").read_text("utf-8"))


def test_a_complete_trial_leaves_its_history_and_curves(bench: Bench, study_of: StudyOf) -> None:
    score = bench.train(study_of(), is_among_best=lambda value: False)
    assert _files(bench.folder) == ["curves.png", "history.json"]
    assert _history(bench.folder) == [score.folds[0].history]
    assert (bench.folder.shown / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_pruned_trial_leaves_the_epochs_that_it_had(bench: Bench, study_of: StudyOf) -> None:
    with pytest.raises(optuna.TrialPruned):
        bench.train(study_of(), prune_after=2)
    (fold,) = _history(bench.folder)
    assert fold["val_accuracy"] == [bench.last.reports[1], bench.last.reports[2]]
    assert "curves.png" in _files(bench.folder)


def test_a_trial_that_goes_on_leaves_all_its_epochs(
    bench: Bench, study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    with pytest.raises(interrupted):
        bench.train(study_of(), interrupt_after=2)
    assert _files(bench.folder) == []
    before = list(bench.last.reports.values())
    bench.train(study_of())
    (fold,) = _history(bench.folder)
    assert fold["val_accuracy"] == [*before, bench.last.reports[3]]
    assert len(before) == 2


def test_a_diverging_trial_leaves_the_epochs_to_its_end(bench: Bench, study_of: StudyOf) -> None:
    import keras

    class Diverging(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            logs["loss"] = float("nan") if epoch == 1 else logs["loss"]

    with pytest.raises(Exception, match="loss was nan"):
        bench.train(study_of(fit=lambda trial: {"callbacks": [Diverging()]}))
    (fold,) = _history(bench.folder)
    assert len(fold["loss"]) == 2


def test_one_of_the_best_leaves_what_it_confuses_on_validation_rows(bench: Bench, study_of: StudyOf) -> None:
    asked: list[float] = []
    score = bench.train(study_of(), is_among_best=lambda value: asked.append(value) or True)
    found = json.loads((bench.folder.shown / "confusion.json").read_text("utf-8"))
    right = sum(row[label] for label, row in enumerate(found["counts"]))
    assert found["labels"] == [str(label) for label in range(10)]
    assert sum(map(sum, found["counts"])) == len(bench.validation(study_of()))
    assert right / sum(map(sum, found["counts"])) == pytest.approx(score.value)
    assert asked == [score.value]
    assert "confusion.png" in _files(bench.folder)


def test_the_others_and_those_with_several_folds_leave_no_confusion(
    new_bench: Callable[[], Bench], study_of: StudyOf
) -> None:
    for spec, is_best in ((study_of(), False), (study_of(k=2, epochs=1), True)):
        bench = new_bench()
        bench.train(spec, is_among_best=lambda value, is_best=is_best: is_best)
        assert _files(bench.folder) == ["curves.png", "history.json"]


def test_a_picture_that_cannot_be_drawn_costs_no_trial(
    bench: Bench, study_of: StudyOf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def draw(*_: object) -> None:
        raise RuntimeError("no colours left")

    monkeypatch.setattr("autotune.figures.learning_curve", draw)
    assert bench.train(study_of(), is_among_best=lambda value: False).value > 0
    assert "The learning curves could not be drawn: RuntimeError: no colours left" in capsys.readouterr().out
    assert _files(bench.folder) == ["history.json"]


def test_a_trial_without_a_finished_epoch_leaves_nothing(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path)
    leave_history(folder, [], "val_accuracy")
    assert _files(folder) == []
