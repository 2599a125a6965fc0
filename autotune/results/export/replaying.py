"""Replay a finished trial: train it again, and compare its numbers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.errors import StudyFailedError, UsageError
from autotune.results.summary import settings_of, source_of, stored_study
from autotune.running.engine import Machine, session
from autotune.running.planning import RunOptions, key_of, plan_replay
from autotune.running.processes import Launcher
from autotune.running.study import find_places, places_of_study
from autotune.running.trial import Outcome, Replay, RunTrial
from autotune.search.history import first_value
from autotune.study import StudySpec
from autotune.training.checkpoints import TrialFolder


@dataclass(frozen=True)
class ReplayedTrial:
    """A trial as it is stored, and as it came out again.

    Attributes:
        study: The study's name.
        trial: The trial's number.
        state: How it had ended, "complete" or "pruned".
        stored: Its value; None if it was pruned.
        again: Its value now.
        steps: What it had reported, by step, and what it reports now; None where it does not get there.
    """

    study: str
    trial: int
    state: str
    stored: float | None
    again: float | None
    steps: Mapping[int, tuple[float, float | None]]

    @property
    def is_same(self) -> bool:
        """Whether every report, and the value, are the same bit for bit."""
        is_value_same = self.stored is None or self.stored == self.again
        return is_value_same and all(before == now for before, now in self.steps.values())


def replay(
    study: StudySpec | str,
    trial: int,
    *,
    storage: str | None = None,
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    gpus: str | None = None,
    trust: bool = False,
) -> ReplayedTrial:
    """Train a finished trial again, with its own seed, split and number of threads; nothing is written anywhere.

    Args:
        study: The name of a study that was started from a study file, or the `StudySpec` that it was started from.
        trial: The trial's number.
        storage: As in `autotune.run`, like all that follows.
        run_dir: Where its files are.
        data_dir: Where datasets are looked for first.
        gpus: Which GPUs.
        trust: Whether the study file that the storage names may be run although it has not run here before, or has
            changed since.

    Raises:
        UsageError: If there is no such trial, or it is not finished.
        StudyFailedError: If it fails now.
    """
    name = study if isinstance(study, str) else study.name
    places = find_places(storage, run_dir, data_dir)
    found = stored_study(places, name)
    stored = _finished(found, trial)
    settings = settings_of(found)
    repeats = 0
    if settings.part_of is not None:
        repeats = 1 + max(key_of(t).repeat for t in found.get_trials(deepcopy=False))
    source = source_of(study, settings, trust)
    places = places_of_study(name, settings, places)
    machine = Machine(workers=1, gpus=gpus)
    with session(RunOptions(source, places), machine) as here, tempfile.TemporaryDirectory() as folder:
        code, assignment, now = plan_replay(here.preparer, stored, repeats)
        slot = here.sharing.slots(now.threads)[0]
        task = RunTrial(code, assignment, TrialFolder(Path(folder)), slot)
        player = Replay(stored.params, stored.number, stored.user_attrs)
        outcome = _play(here.preparer.launcher, task, player)
    if outcome is None or outcome.kind not in ("complete", "pruned"):
        raise StudyFailedError(
            f"trial {trial} of {name!r} fails when it is trained again: {_reason(outcome)}",
            f"It had ended as {stored.state.name.lower()}.",
            "See whether packages, data or the study file are still what they were.",
        )
    steps = {step: (value, player.reports.get(step)) for step, value in stored.intermediate_values.items()}
    value = first_value(stored) if stored.state == TrialState.COMPLETE else None
    return ReplayedTrial(name, trial, stored.state.name.lower(), value, outcome.value, steps)


def _play(launcher: Launcher, task: RunTrial, player: Replay) -> Outcome | None:
    """Have a process do the task with `player` in the place of the parent."""
    process = launcher.start(task)
    try:
        while not isinstance(message := process.connection.recv(), Outcome):
            player.send(message)
            process.connection.send(player.recv())
    except (EOFError, ConnectionError):
        return None
    else:
        return message
    finally:
        process.kill()
        process.exit_status()


def _reason(outcome: Outcome | None) -> str:
    if outcome is None:
        return "its process was killed."
    return outcome.why or outcome.reason


def _finished(study: optuna.Study, number: int) -> FrozenTrial:
    trials = study.get_trials(deepcopy=False)
    if not 0 <= number < len(trials):
        raise UsageError(
            f"{study.study_name!r} has no trial {number}.",
            f"Its trials are numbered from 0 to {len(trials) - 1}." if trials else "It has no trials.",
            f"Look at them: autotune dashboard, or autotune best {study.study_name}",
        )
    if trials[number].state not in (TrialState.COMPLETE, TrialState.PRUNED):
        raise UsageError(
            f"trial {number} of {study.study_name!r} is {trials[number].state.name.lower()}.",
            "Trials that are complete or pruned have numbers to compare with.",
            "Choose another --trial.",
        )
    return trials[number]
