"""Ask the user at the terminal whether to run a study file that the storage names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from autotune.escaping import say
from autotune.running.study import UntrustedFileError, record_trust

_T = TypeVar("_T")


def asking_for_trust(work: Callable[[bool], _T], trust: bool) -> _T:
    """Call `work`, which runs a study file that the storage names; ask the user first if it has not run here before.

    Args:
        work: Called with whether the file may be run without a question.
        trust: Whether the command line allows this (`--trust`).

    Raises:
        UntrustedFileError: If the user refuses, or there is no terminal to ask.
    """
    while True:
        try:
            return work(trust)
        except UntrustedFileError as error:
            if not _may_run(error):
                raise
            trust = not record_trust(error.study_file, error.digest)  # trusts only the content that the user has seen


def _may_run(error: UntrustedFileError) -> bool:
    if sys.stdin is None or not sys.stdin.isatty() or not sys.stderr.isatty():
        return False
    say(f"The study file {error.study_file}", sys.stderr)
    say("has changed since it last ran here." if error.has_changed else "has not run here before.", sys.stderr)
    say("The storage names it. It will do whatever it says, as you: look at it first.", sys.stderr)
    print("Run it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
