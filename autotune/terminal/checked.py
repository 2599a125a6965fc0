"""Print what a check of a study file has found out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autotune.escaping import say
from autotune.progress import duration

if TYPE_CHECKING:
    from autotune.running.engine import Checked
    from autotune.running.trial import Seen


def print_checked(checked: Checked) -> None:
    """Print a check in which nothing was wrong."""
    if checked.seen is None:
        say(f"{checked.study}: the study file declares a plain objective. It was loaded, and no trial was run.")
        say("What an objective does is known only when it runs: autotune run FILE --debug runs one trial.")
    else:
        say(f"{checked.study}: a few batches were trained and validated; the network was saved and loaded again.")
        _print_seen(checked.seen)
    for text in (*checked.cannot, *(checked.seen.notes if checked.seen else ())):
        say(f"Note:       {text}")
    _print_time(checked)
    say("Nothing was stored.")


def _print_seen(seen: Seen) -> None:
    folds = f"the first of {seen.n_folds} folds, " if seen.n_folds > 1 else ""
    say(f"Rows:       {seen.data}")
    say(f"Split:      {folds}{seen.train_rows:,} rows to train on, {seen.validation_rows:,} to validate on")
    say(f"Tried:      {', '.join(f'{name}={value!r}' for name, value in seen.params.items()) or 'no hyperparameters'}")
    memory = "" if seen.memory_mib is None else f"; about {seen.memory_mib:,} MiB of main memory for this trial"
    say(f"Network:    {seen.n_parameters:,} weights{memory}")
    say(f"Epoch:      {seen.batches:,} batches of {seen.batch_size} rows{_of_step(seen)}")
    resumed = "is loaded again" if seen.is_resumed else "cannot be written: an interrupted trial starts over"
    say(f"Checkpoint: {resumed}")


def _of_step(seen: Seen) -> str:
    return "" if seen.step_s is None else f", {1000 * seen.step_s:.3g} ms each"


def _about(seconds: float) -> str:
    return duration(max(1.0, seconds))  # nobody waits for less


def _print_time(checked: Checked) -> None:
    if checked.trial_s is None or checked.search_s is None or checked.seen is None:
        return
    folds = f"{checked.seen.n_folds} folds x " if checked.seen.n_folds > 1 else ""
    say(
        f"Time:       about {_about(checked.trial_s)} for a trial: {folds}{checked.seen.epochs} epochs of those batches"
    )
    say(
        f"            about {_about(checked.search_s)} for {checked.n_trials} trials, {checked.workers} at a time: "
        "a rough estimate"
    )
    say("            (from this one configuration while nothing else ran, and as if no trial were pruned)")
