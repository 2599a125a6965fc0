"""Print what a check of a study file has found out."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from autotune.escaping import say
from autotune.progress import duration

if TYPE_CHECKING:
    from autotune.running.engine import Checked
    from autotune.running.trial import Seen

_INDENT = 12


def print_checked(checked: Checked) -> None:
    """Print a check in which nothing was wrong."""
    if checked.seen is None:
        _say("Study", f"{checked.study}, a plain objective: it was loaded, and no trial was run")
        _say("", "what it does is known only when it runs: autotune run FILE --debug runs one trial")
    else:
        _say(
            "Study",
            f"{checked.study}: a few batches were trained and validated; the network was saved and loaded again.",
        )
        _print_seen(checked.seen)
    for text in (*checked.cannot, *(checked.seen.notes if checked.seen else ())):
        _say("Note", text)
    _print_time(checked)
    say("Nothing was stored.")


def _print_seen(seen: Seen) -> None:
    folds = f"the first of {seen.n_folds} folds, " if seen.n_folds > 1 else ""
    _say("Rows", seen.data)
    _say("Split", f"{folds}{seen.train_rows:,} rows to train on, {seen.validation_rows:,} to validate on")
    _say("Tried", ", ".join(f"{name}={value!r}" for name, value in seen.params.items()) or "no hyperparameters")
    memory = "" if seen.memory_mib is None else f"; about {seen.memory_mib:,} MiB of main memory for this trial"
    _say("Network", f"{seen.n_parameters:,} weights{memory}")
    _say("Epoch", f"{seen.batches:,} batches of {seen.batch_size} rows{_of_step(seen)}")
    resumed = "is loaded again" if seen.is_resumed else "cannot be written: an interrupted trial starts over"
    _say("Checkpoint", resumed)


def _of_step(seen: Seen) -> str:
    return "" if seen.step_s is None else f", {1000 * seen.step_s:.3g} ms each"


def _about(seconds: float) -> str:
    return duration(max(1.0, seconds))  # nobody waits for less


def _print_time(checked: Checked) -> None:
    if checked.trial_s is None or checked.search_s is None or checked.seen is None:
        return
    folds = f"{checked.seen.n_folds} folds x " if checked.seen.n_folds > 1 else ""
    trial = f"about {_about(checked.trial_s)} for a trial: {folds}{checked.seen.epochs} epochs of those batches"
    search = (
        f"about {_about(checked.search_s)} for {checked.n_trials} trials, {checked.workers} at a time: a rough estimate"
    )
    _say(
        "Time", f"{trial}; {search}, from this one configuration while nothing else ran, and as if no trial were pruned"
    )


def _say(label: str, text: str) -> None:
    """Print a text beside its label; on a terminal its lines end between words."""
    lines = [f"{label and label + ':':<{_INDENT}}{text}"]
    if sys.stdout.isatty():
        width = max(shutil.get_terminal_size().columns, 2 * _INDENT)
        lines = textwrap.wrap(lines[0], width, subsequent_indent=" " * _INDENT, break_on_hyphens=False)
    for line in lines:
        say(line)
