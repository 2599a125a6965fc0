"""A path belongs to one process at a time, until that process ends."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

from autotune.training.checkpoints.claimed import ClaimedPaths


def claim(file: Path, path: Path, pipe: Connection) -> None:
    pipe.send(ClaimedPaths(file).has(path))
    pipe.recv()


def test_a_path_that_another_process_has_is_free_when_that_process_is_killed(tmp_path: Path) -> None:
    here, there = multiprocessing.Pipe()
    mine, model = tmp_path / "trial-1.pt", tmp_path / "model.pt"
    other = multiprocessing.get_context("spawn").Process(target=claim, args=(tmp_path / "lock", model, there))
    other.start()
    there.close()
    assert here.recv()
    claims = ClaimedPaths(tmp_path / "lock")
    assert claims.has(mine)
    assert not claims.has(model)
    other.kill()
    other.join()
    assert claims.has(model)
    assert claims.has(model)  # again
