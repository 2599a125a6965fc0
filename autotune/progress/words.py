"""Short texts about a run, for a terminal or a log."""

from __future__ import annotations

from rich.text import Text

from autotune.escaping import one_line
from autotune.progress.tally import RunningTrial, Tally
from autotune.running.tracking import Note, RunStarted, TrialEnded

_MOST_NAMED = 8


def line_of(event: RunStarted | Note | TrialEnded, tally: Tally) -> str:
    """Return an event in one line.

    Args:
        event: The event.
        tally: The run after it.
    """
    return one_line(_words_of(event, tally))


def _words_of(event: RunStarted | Note | TrialEnded, tally: Tally) -> str:
    if isinstance(event, Note):
        return f"trial {event.number}: {event.text}" if event.number is not None else event.text
    if isinstance(event, RunStarted):
        slots = f"{event.slots} slot{'s' if event.slots != 1 else ''}"
        return f"{event.name}: {event.finished} of {event.n_trials} trials finished; {slots}"
    of = tally.run.n_trials if tally.run else 0
    value = f" {event.value:.6g}" if event.value is not None else ""
    reason = f" ({event.reason})" if event.reason else ""
    params = " ".join(f"{name}={_short(value)}" for name, value in event.params.items())
    end = f"{event.state}{value}{reason}{_after(event, tally)}, {event.seconds:.1f} s"
    told = "; ".join(filter(None, [event.why, params]))  # why first: a terminal cuts a line that is too long
    return f"[{tally.finished}/{of}] trial {event.number} {end}: {told}"


def _after(event: TrialEnded, tally: Tally) -> str:
    """Return the number of epochs or folds that a trial of a Keras study has finished, as text."""
    is_of_folds = event.finished_folds > 0
    n = event.finished_folds if is_of_folds else event.steps
    if not n or tally.run is None or not tally.run.epochs:
        return ""
    return f" after {n} {'fold' if is_of_folds else 'epoch'}{'s' if n > 1 else ''}"


def running_line(tally: Tally) -> str:
    """Return the running trials in one line: "running: trial 12 epoch 3/10 0.9812, trial 13 epoch 1/10 0.9031"."""
    unit = "epoch" if tally.run and tally.run.epochs else "step"
    trials = [trial for _, trial in sorted(tally.running.items())]
    named = [f"trial {trial.number} {_place(trial, tally, unit)}{_value(trial)}" for trial in trials[:_MOST_NAMED]]
    others = [f"and {len(trials) - _MOST_NAMED} more"] if len(trials) > _MOST_NAMED else []
    return f"running: {', '.join([*named, *others])}"


def headline_parts(tally: Tally, width: int) -> list[str]:
    """Return short texts about the whole run, the most important first; callers must not break one across lines.

    Args:
        tally: The run, which has begun.
        width: Of a line, in characters; names that are too long for it are cut, numbers are not.
    """
    run = tally.run
    assert run is not None
    parts = [_named(run.name, f": {tally.finished}/{run.n_trials} finished", width), _best(tally, width)]
    parts += [f"{tally.pruned} pruned"] if tally.pruned else []
    parts += [f"{count} failed ({one_line(reason)})" for reason, count in tally.failures.items()]
    parts += [f"{len(tally.waiting)} waiting"] if tally.waiting else []
    parts += [f"{'watched' if run.is_elsewhere else 'running'} for {duration(tally.elapsed_s())}"]
    left = tally.time_left()
    parts += [f"{'at most' if left.is_limit else 'about'} {duration(left.seconds)} left"] if left else []
    return parts


def _best(tally: Tally, width: int) -> str:
    metric = (tally.run.monitor if tally.run else None) or "value"
    if tally.best is None:
        return f"no best {_named(metric, ' yet', width - 8)}"
    number, value = tally.best
    return f"best {_named(metric, f' {value:.6g} (trial {number})', width - 5)}"


def _named(name: str, numbers: str, width: int) -> str:
    short = Text(one_line(name))
    short.truncate(max(1, width - len(numbers)), overflow="ellipsis")
    return f"{short.plain}{numbers}"


def epoch_of(trial: RunningTrial, tally: Tally) -> str:
    """Return the progress of a trial: "3/10", or "fold 2/5" once its first fold is finished."""
    run = tally.run
    assert run is not None
    if trial.finished_folds:
        at = trial.finished_folds + 1 if run.folds is None else min(trial.finished_folds + 1, run.folds)
        return f"fold {at}/{run.folds}" if run.folds else f"fold {at}"
    return f"{trial.step}/{run.epochs}" if run.epochs else str(trial.step)


def duration(seconds: float) -> str:
    """Format a duration: "12 s", "3 min 2 s", "2 h 3 min"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def step_seconds(seconds: float) -> str:
    """Format the seconds of a step with about three significant digits."""
    if seconds < 0.01:
        return "<0.01"
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}"


def _place(trial: RunningTrial, tally: Tally, unit: str) -> str:
    return epoch_of(trial, tally) if trial.finished_folds else f"{unit} {epoch_of(trial, tally)}"


def _value(trial: RunningTrial) -> str:
    return f" {trial.value:.6g}" if trial.value is not None else ""


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
