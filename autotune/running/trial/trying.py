"""Trials that are in no study, trained on a few batches or, in a debugger, on all rows.

What is covered: everything that a trial of a study does, because the same function trains it. What is not covered: the
storage, its sampler and its pruner.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import optuna

from autotune.data.rows import Dataset
from autotune.data.splits import Fold, Split
from autotune.running.trial.answering import AnsweringHere
from autotune.running.trial.given_configurations import configurations
from autotune.running.trial.piped_trial import PipedTrial
from autotune.seeds import derive_seed
from autotune.study import StudySpec
from autotune.training.checkpoints import TrialFolder
from autotune.training.records import Phase, Timer

if TYPE_CHECKING:
    from autotune.training.trials import TrialScore

_BATCHES = 4  # of training in an epoch
_EPOCHS = 3  # the first before the checkpoint, the second traces again, the third is measured


@dataclass(frozen=True)
class Tried:
    """What a training on a few batches has shown.

    Attributes:
        params: The hyperparameters.
        n_parameters: The number of weights of the network.
        batch_size: Rows of a batch.
        epochs: Epochs of all stages of a whole training.
        is_resumed: Whether the training went on from its checkpoint.
        start_s: Seconds in which the network is built and traced.
        step_s: Seconds of a training step; None if it could not be measured.
        validation_s: Seconds of the validation on `validated` rows; None if it could not be measured.
        validated: The number of these rows.
    """

    params: Mapping[str, Any]
    n_parameters: int
    batch_size: int
    epochs: int
    is_resumed: bool
    start_s: float
    step_s: float | None
    validation_s: float | None
    validated: int

    def epoch_s(self, n_batches: int, n_validation: int) -> float | None:
        """Return about how many seconds an epoch takes; None if they could not be measured.

        A row costs a third of a training step's time to predict, because its gradient costs twice as much as itself.
        """
        if self.step_s is None:
            return None
        more_rows = max(0, n_validation - self.validated)
        return n_batches * self.step_s + (self.validation_s or 0.0) + more_rows * self.step_s / self.batch_size / 3


def drawn_trial(
    spec: StudySpec, draw: int = 0, timer: Timer | None = None, on_report: Callable[[int], None] = lambda step: None
) -> PipedTrial:
    """Return a trial that draws its values at random; the first draw has the first configuration that is given.

    Args:
        spec: The study.
        draw: The number of the draw, from 0.
        timer: Counts the trial's seconds.
        on_report: Called with each reported step.
    """
    seed = derive_seed(spec.seed, "drawn", draw)
    study = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed=seed), pruner=optuna.pruners.NopPruner(), direction=spec.direction
    )
    given = next(iter(configurations(spec.baseline, spec.enqueue, spec.guess or ()).values()), None)
    if given and not draw:
        study.enqueue_trial(dict(given))
    return PipedTrial(AnsweringHere(study.ask(), on_report), timer)


def try_few_batches(spec: StudySpec, data: Dataset, fold: Fold, draw: int = 0) -> Tried:
    """Train a few batches, validate one, write a checkpoint, load it again, and go on.

    Args:
        spec: A Keras study.
        data: The development rows.
        fold: The positions of the rows of a fold.
        draw: The number of the configuration, from 0.

    Raises:
        UsageError: If the study file cannot be used.
        DivergedError: If the loss became NaN or infinite.
    """
    clock = _EpochClock()
    trial = drawn_trial(spec, draw, clock.timer, clock.note)
    size, epochs = _batch_size_and_epochs(spec, trial)
    few = Fold(_some(fold.train, _BATCHES * size, spec.seed), _some(fold.validation, size, spec.seed))
    split = Split(data, (few,), "a few rows")
    with tempfile.TemporaryDirectory(prefix="autotune-check-") as place:
        folder = TrialFolder(Path(place))
        short = dataclasses.replace(spec, epochs=1, epochs_per_pass=1)
        first = _train(short, trial, split, folder, clock.timer)
        is_resumed = folder.has_checkpoint()
        _train(dataclasses.replace(short, epochs=_EPOCHS), trial, split, folder, clock.timer)
    return Tried(
        trial.params,
        first.n_parameters,
        size,
        epochs,
        is_resumed,
        clock.start_s / 2,  # of two trainings
        clock.seconds_of("training", n_batches(len(few.train), size)),
        clock.seconds_of("validation", 1),
        len(few.validation),
    )


def train_here(spec: StudySpec, data: Dataset, folds: tuple[Fold, ...]) -> tuple[float, Mapping[str, Any]]:
    """Train one trial of a Keras study in this process, on all rows; nothing is stored.

    Returns:
        Its value and its hyperparameters.
    """
    timer = Timer()
    trial = drawn_trial(spec, timer=timer)
    with tempfile.TemporaryDirectory(prefix="autotune-debug-") as place:
        score = _train(spec, trial, Split(data, folds, "all rows"), TrialFolder(Path(place)), timer)
    return score.value, trial.params


def n_batches(n_rows: int, batch_size: int) -> int:
    """Return the number of batches of so many rows; the last one may be smaller."""
    return -(-n_rows // batch_size)


class _EpochClock:
    """Takes the times of the epochs of a training, by its reports.

    Attributes:
        timer: The timer of the training.
    """

    def __init__(self) -> None:
        self.timer = Timer()
        self._seen: dict[int, Mapping[Phase, float]] = {}

    def note(self, step: int) -> None:
        """Note that an epoch has ended."""
        self._seen.setdefault(step, dict(self.timer.phases))  # who goes on reports its first epochs again

    @property
    def start_s(self) -> float:
        """The seconds in which networks were built and traced."""
        return self.timer.phases.get("build", 0.0) + self.timer.phases.get("tracing", 0.0)

    def seconds_of(self, phase: Phase, count: int) -> float | None:
        """Return the seconds of one of `count` parts of a phase of the last epoch; None if it was not reached."""
        if max(self._seen, default=0) < _EPOCHS or not count:
            return None
        before, last = (self._seen[step].get(phase, 0.0) for step in sorted(self._seen)[-2:])
        return (last - before) / count


def _train(spec: StudySpec, trial: Any, split: Split, folder: TrialFolder, timer: Timer) -> TrialScore:
    from autotune.training.trials import train_trial  # only Keras studies need TensorFlow

    return train_trial(
        spec,
        trial,
        split,
        folder,
        place=("trial", trial.number),
        has_reported=folder.has_checkpoint(),
        is_among_best=lambda value: False,
        timer=timer,
    )


def _batch_size_and_epochs(spec: StudySpec, trial: Any) -> tuple[int, int]:
    """Return the batch size of the first stage, and the epochs of all stages; defaults if `fit` does not tell them."""
    from autotune.training.fitting import KERAS_BATCH_SIZE, stages_of

    try:
        stages = stages_of(spec, trial)
    except Exception:  # the training tells of it
        return KERAS_BATCH_SIZE, spec.epochs
    size = int(stages[0].arguments.get("batch_size") or KERAS_BATCH_SIZE)
    return size, sum(stage.epochs for stage in stages)


def _some(positions: npt.NDArray[np.int64], count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return some positions, drawn at random, because rows may be ordered by class, and in their order."""
    if len(positions) <= count:
        return positions
    drawn: npt.NDArray[np.int64] = np.sort(np.random.default_rng(seed).choice(positions, count, replace=False))
    return drawn
