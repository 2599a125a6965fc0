"""What commands print of a study when they are done with it."""

from __future__ import annotations

import shlex
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autotune.results.summary import BestTrial, StudyStatus


def print_result(status: StudyStatus, where: str, may_go_on: bool) -> None:
    """Print how a run has ended, and what can be done next.

    Args:
        status: The study after the run.
        where: The options with which another command finds the study, e.g. " --run-dir DIR".
        may_go_on: Whether anything is left to try.
    """
    finished = status.complete + status.pruned
    failed = sum(status.failed.values())
    print(
        f"\n{status.study}: {finished} of {status.n_trials} trials finished: "
        f"{status.complete} complete, {status.pruned} pruned; {failed} failed"
    )
    if status.best is not None:
        print_best(status.best)
    if may_go_on:
        is_short = status.n_trials is not None and finished < status.n_trials
        more = "" if is_short else f" --trials {finished * 2}"
        print(f"{'Go on:' if is_short else 'More: '}  autotune resume {shlex.quote(status.study)}{more}{where}")
    print(f"Watch:  autotune dashboard{where}")


def print_best(best: BestTrial) -> None:
    """Print the best trial."""
    at = f", best epoch {best.epoch}" if best.epoch is not None else ""
    print(f"Best {best.monitor or 'value'}: {best.value:.6g} (trial {best.trial}{at}, {best.direction})")
    for name, value in best.params.items():
        print(f"  {name} = {value!r}")
    if best.model is not None:
        print(f"Model:  {best.model}")


def print_stopped(name: str | None, where: str) -> None:
    """Print what a signal has stopped, and how to go on; `name` is None if no trial was started yet."""
    if name is None:
        print("Stopped before a trial was started; nothing is lost. Go on with the same command.", file=sys.stderr)
        return
    go_on = f"autotune resume {shlex.quote(name)}{where}"
    print(f"Stopped. What was running waits with all its finished epochs. Go on:  {go_on}", file=sys.stderr)


def print_statuses(statuses: list[StudyStatus]) -> None:
    """Print a table with a line for each study."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("study", "finished", "complete", "pruned", "failed", "running", "waiting", "best", "trials/h"):
        table.add_column(column, justify="left" if column == "study" else "right", no_wrap=column != "failed")
    table.add_column("time left", justify="right")
    table.add_column("workers", justify="right")
    for s in statuses:
        table.add_row(
            escape(s.study),
            f"{s.complete + s.pruned}/{s.n_trials if s.n_trials is not None else '?'}",
            str(s.complete),
            str(s.pruned),
            ", ".join(f"{count} {reason}" for reason, count in s.failed.items()) or "0",
            str(s.running),
            str(s.waiting),
            f"{s.best.value:.6g}" if s.best else "",
            f"{s.trials_per_hour:.0f}" if s.trials_per_hour else "",
            f"{s.seconds_left / 60:.0f} min" if s.seconds_left is not None else "",
            str(s.workers),
        )
    # Into a file or a pipe goes the whole table: a column that is cut off cannot be read back.
    Console(width=None if sys.stdout.isatty() else 250).print(table)
