"""Run a search's process for a time, see how much memory it and its children take, and end them all."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_EVERY_S = 2.0  # summing up the memory of a dozen processes takes tens of milliseconds of the cores that train
_GRACE_S = 15.0


@dataclass(frozen=True)
class Measured:
    """How a process went.

    Attributes:
        status: Its exit status; None if it ran until it was ended.
        seconds: For how long it ran.
        peak_mib: The most memory that it and its children took at once, in MiB; pages that several share count once
            where the system knows them (Linux).
    """

    status: int | None
    seconds: float
    peak_mib: float


def run_for(
    command: Sequence[str],
    budget_s: float,
    log: Path,
    folder: Path,
    environment: Mapping[str, str],
    is_enough: Callable[[], bool],
) -> Measured:
    """Run a command until its time is up or it has done enough; then end it and its children.

    Args:
        command: The command.
        budget_s: For how long.
        log: The file for what it prints.
        folder: Where it runs.
        environment: All of its environment variables.
        is_enough: Asked every other second whether it may be ended before its time.
    """
    began = time.monotonic()
    with log.open("wb") as output:
        root = psutil.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder, env=dict(environment))
    tree, peak, status = [root], 0.0, None
    try:
        while status is None and (left := began + budget_s - time.monotonic()) > 0 and not is_enough():
            tree = _tree(root, tree)
            peak = max(peak, sum(map(_memory_mib, tree)))
            with contextlib.suppress(psutil.TimeoutExpired):
                status = root.wait(timeout=min(_EVERY_S, left))
        seconds = min(time.monotonic() - began, budget_s)
    finally:
        _end(root, _tree(root, tree))
    return Measured(status, seconds, peak)


def _tree(root: psutil.Popen, before: list[psutil.Process]) -> list[psutil.Process]:
    """List the process and its children; those of before, too, if it is gone and they live on."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [root, *root.children(recursive=True)]
    return [one for one in before if one.is_running()]


def _memory_mib(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        memory = process.memory_full_info()
        return getattr(memory, "pss", memory.rss) / 2**20
    return 0.0


def _end(root: psutil.Popen, tree: Sequence[psutil.Process]) -> None:
    """Ask the process to end, which ends its children if it knows how to; then kill what is left."""
    with contextlib.suppress(psutil.NoSuchProcess):
        root.terminate()
    psutil.wait_procs([root], timeout=_GRACE_S)
    for process in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(tree, timeout=_GRACE_S)


def environment_of_searches(scripts: Path, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment in which each process of a search finds this folder's modules, and no foreign Ray.

    Args:
        scripts: The folder that `peers` is in.
        base: The variables to begin with.
    """
    kept = {name: value for name, value in base.items() if name != "RAY_ADDRESS"}
    path = os.pathsep.join(filter(None, [str(scripts), kept.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"}
