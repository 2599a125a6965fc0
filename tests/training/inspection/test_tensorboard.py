"""Event files for TensorBoard: what they hold, for trials that go on too, and that no number changes by them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autotune.study import StudySpec

pytest.importorskip("tensorboard", reason="no TensorBoard: install the extra tensorboard")
pytestmark = pytest.mark.trains

StudyOf = Callable[..., StudySpec]
Bench = Any


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return (step, value) of what a run holds, by tags, each step once."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    events = EventAccumulator(str(folder), purge_orphaned_data=False)
    events.Reload()
    scalar_tags = [tag for tag in events.Tags()["tensors"] if "hparams" not in tag and "keras" not in tag]
    return {
        tag: sorted({(one.step, float(tensor_util.make_ndarray(one.tensor_proto))) for one in events.Tensors(tag)})
        for tag in scalar_tags
    }


def hyperparameters(folder: Path) -> dict[str, Any]:
    """Return the hyperparameters of a run, as the HParams plugin reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG, parse_session_start_info_plugin_data

    events = EventAccumulator(str(folder))
    events.Reload()
    content = events.SummaryMetadata(SESSION_START_INFO_TAG).plugin_data.content
    found = parse_session_start_info_plugin_data(content).hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in found.items()}


def with_events(bench: Bench, folder: Path) -> Bench:
    return dataclasses.replace(bench, folder=dataclasses.replace(bench.folder, events=folder))


def steps_of(values: list[float]) -> list[tuple[int, Any]]:
    return [(step, pytest.approx(value)) for step, value in enumerate(values)]


def test_a_trial_writes_its_epochs_its_hyperparameters_and_its_value(
    bench: Bench, study_of: StudyOf, tmp_path: Path
) -> None:
    events = tmp_path / "events" / "00000"
    score = with_events(bench, events).train(study_of())
    history = score.folds[0].history
    assert scalars(events / "train")["epoch_loss"] == steps_of(history["loss"])
    assert scalars(events / "validation")["epoch_accuracy"] == steps_of(history["val_accuracy"])
    assert scalars(events)["val_accuracy"] == [(3, pytest.approx(score.value))]
    assert hyperparameters(events) == {"rate": pytest.approx(bench.study.trials[0].params["rate"])}


def test_a_trial_that_goes_on_adds_its_epochs_to_the_same_run(
    bench: Bench, study_of: StudyOf, tmp_path: Path, interrupted: type[BaseException]
) -> None:
    bench = with_events(bench, tmp_path / "events")
    with pytest.raises(interrupted):
        bench.train(study_of(), interrupt_after=2)
    before = scalars(tmp_path / "events" / "train")["epoch_loss"]
    score = bench.train(study_of())
    assert [step for step, _ in before] == [0, 1]  # on the disk, although nothing was closed
    assert scalars(tmp_path / "events" / "train")["epoch_loss"] == steps_of(score.folds[0].history["loss"])


def test_each_fold_has_a_run(bench: Bench, study_of: StudyOf, tmp_path: Path) -> None:
    score = with_events(bench, tmp_path / "events").train(study_of(k=2, epochs=1))
    for number, fold in enumerate(score.folds, start=1):
        written = scalars(tmp_path / "events" / f"fold-{number}" / "train")["epoch_loss"]
        assert written == steps_of(fold.history["loss"])
    assert scalars(tmp_path / "events")["val_accuracy"] == [(1, pytest.approx(score.value))]
