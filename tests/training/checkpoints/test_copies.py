"""A checkpoint in two places: the one that is further is used, and what is wrong with a copy is said."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from autotune.training.checkpoints import artifacts
from autotune.training.checkpoints.checkpoint import Checkpoint, FoldScore, load_checkpoint, save_checkpoint
from autotune.training.checkpoints.copies import CheckpointCopies
from autotune.training.checkpoints.folder import TrialFolder, trial_folder

ME = "trial 3"


def checkpoint(epochs: int, folds: int = 0, identity: str = ME) -> Checkpoint:
    score = FoldScore(0.5, 1, {"loss": [1.0]}, 7)
    history = {"loss": [1.0] * epochs}
    return Checkpoint(identity, (score,) * folds, history, 1, False, [], [np.arange(3.0)], [np.zeros(2)])


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.getfixturevalue("s3_url") if request.param == "s3" else tmp_path / "artifacts")


@pytest.fixture
def folder(tmp_path: Path, url: str) -> TrialFolder:
    return trial_folder(tmp_path / "here" / "study", 3, f"{url}/study")


@pytest.fixture
def elsewhere(tmp_path: Path, url: str) -> TrialFolder:
    """Give the same trial's folder on another machine."""
    return trial_folder(tmp_path / "elsewhere" / "study", 3, f"{url}/study")


def load(folder: TrialFolder, has_reported: bool = True) -> tuple[tuple[int, int] | None, list[str]]:
    """Return how far the checkpoint is that is found, and what was told."""
    told: list[str] = []
    found = CheckpointCopies(folder, told.append).load(ME, has_reported)
    return found.progress if found else None, told


def save(folder: TrialFolder, *checkpoints: Checkpoint) -> list[str]:
    told: list[str] = []
    copies = CheckpointCopies(folder, told.append)
    for one in checkpoints:
        copies.save(one)
    return told


def test_what_was_saved_here_is_found_here_and_elsewhere(folder: TrialFolder, elsewhere: TrialFolder) -> None:
    assert save(folder, checkpoint(1), checkpoint(2)) == []
    assert load(folder) == load(elsewhere) == ((0, 2), [])
    assert not elsewhere.path.exists()


def test_the_copy_is_used_where_it_is_further(folder: TrialFolder, elsewhere: TrialFolder) -> None:
    save(folder, checkpoint(2))
    save(elsewhere, checkpoint(3))
    assert load(folder) == ((0, 3), [])
    save(elsewhere, checkpoint(1, folds=1))
    assert load(folder) == ((1, 1), [])


def test_the_local_one_is_used_where_it_is_further(folder: TrialFolder, elsewhere: TrialFolder) -> None:
    save(folder, checkpoint(0, folds=1))
    save(elsewhere, checkpoint(3))  # one that was thought to be lost has gone on for a while
    assert load(folder) == ((1, 0), [])


def torn(folder: TrialFolder) -> None:
    folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:-10])


def test_a_torn_local_one_is_told_and_the_copy_used(folder: TrialFolder) -> None:
    save(folder, checkpoint(2))
    torn(folder)
    progress, (told,) = load(folder)
    assert progress == (0, 2)
    assert told == f"its checkpoint {folder.checkpoint} is damaged; it goes on from its other copy"


@pytest.mark.parametrize(
    ("identity", "tear", "words"), [(ME, True, "is damaged"), ("trial 4", False, "is of another trial")]
)
def test_an_unusable_copy_is_told_and_the_local_one_used(
    identity: str, tear: bool, words: str, folder: TrialFolder, elsewhere: TrialFolder
) -> None:
    save(folder, checkpoint(1))
    save(elsewhere, checkpoint(5, identity=identity))
    if tear:
        torn(elsewhere)
        assert folder.copy is not None
        with elsewhere.checkpoint.open("rb") as content:
            folder.copy.write(content)
    progress, (told,) = load(folder)
    assert progress == (0, 1)
    assert told.startswith(f"its checkpoint {folder.copy} {words}")
    assert told.endswith("; it goes on from its other copy")


def test_a_trial_with_no_usable_copy_starts_over_and_says_why(folder: TrialFolder) -> None:
    save(folder, checkpoint(2, identity="trial 4"))
    progress, told = load(folder)
    assert progress is None
    assert [line.split(";")[1] for line in told] == [" it starts over"] * 2


def test_a_trial_that_has_reported_and_has_no_checkpoint_says_so(folder: TrialFolder) -> None:
    assert load(folder) == (None, ["it has reported before, but there is no checkpoint of it here; it starts over"])
    assert load(folder, has_reported=False) == (None, [])


def test_a_store_that_does_not_answer_is_told_once_and_tried_again(
    folder: TrialFolder, elsewhere: TrialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    copies = CheckpointCopies(folder, told.append)
    copies.save(checkpoint(1))
    with monkeypatch.context() as broken:
        broken.setattr(artifacts, "open_store", _no_network)
        copies.save(checkpoint(2))
        copies.save(checkpoint(3))
        progress, (cannot,) = load(folder)
    assert told == [
        f"its checkpoint could not be copied to {folder.copy} (Network is unreachable); each epoch tries again"
    ]
    assert progress == (0, 3)
    assert (
        cannot
        == f"its checkpoint {folder.copy} cannot be read (Network is unreachable); it goes on from its other copy"
    )
    assert load(elsewhere) == ((0, 1), [])
    copies.save(checkpoint(4))
    assert len(told) == 1
    assert load(elsewhere) == ((0, 4), [])


def _no_network(url: str) -> None:
    raise OSError(101, "Network is unreachable")


def test_a_finished_trial_leaves_nothing_in_either_place(folder: TrialFolder, elsewhere: TrialFolder) -> None:
    save(folder, checkpoint(1))
    assert folder.has_checkpoint()
    assert elsewhere.remove_checkpoint()  # it was finished elsewhere
    assert load(elsewhere, has_reported=False) == (None, [])
    assert folder.remove_checkpoint()
    assert not folder.has_checkpoint()
    assert load(folder, has_reported=False) == (None, [])


def test_a_copy_that_is_out_of_reach_is_removed_by_the_next_run(
    folder: TrialFolder, elsewhere: TrialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder, checkpoint(1))
    with monkeypatch.context() as broken:
        broken.setattr(artifacts, "open_store", _no_network)
        assert not folder.remove_checkpoint()
        assert not elsewhere.remove_checkpoint()
    assert not folder.checkpoint.exists()
    assert folder.has_checkpoint()
    assert elsewhere.has_checkpoint()
    assert folder.remove_checkpoint()
    assert not folder.has_checkpoint()
    assert load(elsewhere, has_reported=False) == (None, [])


def test_without_a_store_there_is_one_copy(tmp_path: Path) -> None:
    alone = trial_folder(tmp_path, 3)
    assert save(alone, checkpoint(1)) == []
    assert load(alone) == ((0, 1), [])
    assert alone.remove_checkpoint()
    assert not alone.has_checkpoint()


def test_the_local_one_is_written_before_the_copy(folder: TrialFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Checkpoint | None] = []

    def look(url: str) -> None:
        seen.append(load_checkpoint(folder.checkpoint, ME))
        raise OSError

    monkeypatch.setattr(artifacts, "open_store", look)
    save_checkpoint(checkpoint(1), folder.checkpoint)
    save(folder, dataclasses.replace(checkpoint(1), best_epoch=2))
    assert [found.best_epoch for found in seen if found] == [2]
