"""A question to whoever sits at the terminal: whether a study file that a storage names is to be run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from autotune.escaping import say
from autotune.running.study import UntrustedFileError, record_trust

_T = TypeVar("_T")


def asking_for_trust(work: Callable[[bool], _T], trust: bool) -> _T:
    """Do something that runs a study file which a storage names, and ask first where it has not run here before.

    Args:
        work: Does it; told whether the file may be run in any case.
        trust: Whether it may, by what the command line says.

    Raises:
        UntrustedFileError: If it may not, or there is nobody to be asked.
    """
    while True:
        try:
            return work(trust)
        except UntrustedFileError as error:
            if not _may_run(error):
                raise
            trust = not record_trust(error.study_file, error.digest)  # what was looked at, not what it becomes


def _may_run(error: UntrustedFileError) -> bool:
    if sys.stdin is None or not sys.stdin.isatty() or not sys.stderr.isatty():
        return False
    say(f"The study file {error.study_file}", sys.stderr)
    say("has changed since it last ran here." if error.has_changed else "has not run here before.", sys.stderr)
    say("The storage names it. It will do whatever it says, as you: look at it first.", sys.stderr)
    print("Run it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
