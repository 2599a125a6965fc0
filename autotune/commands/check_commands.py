"""The commands that try a study file before it runs: a check, and one trial in a debugger."""

from __future__ import annotations

import argparse
import signal

from autotune.commands.options import DONE, STOPPED, taken_by
from autotune.escaping import say, say_json


def check_command(options: argparse.Namespace) -> int:
    """Check a study file."""
    import optuna

    from autotune.running.engine import check
    from autotune.terminal import print_checked

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        checked = check(options.study_file, **taken_by(check, options))
    except KeyboardInterrupt:
        return STOPPED
    if options.json:
        say_json(checked.as_dict())
    else:
        print_checked(checked)
    return DONE


def debug_command(options: argparse.Namespace) -> int:
    """Run one trial in this process."""
    import optuna

    from autotune.running.engine import debug

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a debugger stops at Ctrl-C
    say("One trial in this process, without a study: nothing is stored, and errors show their whole traceback.")
    trial = debug(options.study_file, **taken_by(debug, options))
    say(f"Value: {trial.value:.6g} (one trial, not stored)")
    for name, value in trial.params.items():
        say(f"  {name} = {value!r}")
    return DONE
