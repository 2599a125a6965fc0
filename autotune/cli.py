"""The command line: one function per command; each parses, calls one function above, prints.

Everything that takes time to import is imported by the command that needs it, so that from the first moment Ctrl-C and
SIGTERM end a command as they should, and `--help` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from autotune.commands import (
    DONE,
    FAILED,
    STOPPED,
    USAGE,
    check_command,
    debug_command,
    explain_command,
    export_command,
    finalize_command,
    learning_curve_command,
    parser_for,
    places_of,
    refine_command,
    replay_command,
    report_command,
    show_study_file,
    storage_of,
    study_of,
    taken_by,
    where,
)
from autotune.errors import AutotuneError, UsageError
from autotune.escaping import escape_output, say, say_json

if TYPE_CHECKING:
    from autotune.results.summary import StudyStatus
    from autotune.running.study import StudySource
    from autotune.running.tracking import Event


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 the study failed, 2 bad usage, 130 stopped by a signal."""
    _end_at_once_on_signals()
    escape_output()
    # reason: Optuna warns of each choice that is a list, whenever a study is read, but all storages can hold lists.
    warnings.filterwarnings("ignore", "Choices for a categorical distribution should be")
    try:
        options = parser_for(_COMMANDS).parse_args(arguments)
        code: int = options.command(options)
        sys.stdout.flush()  # an error is handled here; at the end of Python it would change the exit code
        return code
    except UsageError as error:
        print(error, file=sys.stderr)
        return USAGE
    except AutotuneError as error:
        print(error, file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # the reader of the output has closed the pipe
        _print_no_more()
        return DONE
    except OSError as error:
        from autotune.disk import disk_full

        if (full := disk_full(error)) is None:
            raise
        print(full, file=sys.stderr)
        _print_no_more()
        return FAILED


def _print_no_more() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_at_once_on_signals() -> None:
    """Make Ctrl-C, SIGTERM and SIGHUP end this process with 130 and without a traceback.

    While trials run, `run` has its own handlers; at any other time a command has nothing to lose. Python's own
    KeyboardInterrupt can get lost in callbacks, and if it is raised in an import, it changes the exit code.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and not (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):  # nohup
            signal.signal(number, _end_at_once)


def _end_at_once(number: int, frame: object) -> None:
    if sys.stdout.isatty():
        os.write(sys.stdout.fileno(), b"\x1b[?25h\n")  # the cursor that live progress hides
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed
        os.write(sys.stderr.fileno(), f"Stopped by {signal.Signals(number).name}.\n".encode())
    os._exit(STOPPED)


def run_command(options: argparse.Namespace) -> int:
    """Run a study file."""
    if options.debug:
        return debug_command(options)
    return _run(options.study_file, options, options.run_dir)


def resume_command(options: argparse.Namespace) -> int:
    """Resume a study by its name."""
    from autotune.running.study import places_of_study, read_settings, source_named_by_storage
    from autotune.terminal import asking_for_trust

    settings = read_settings(study_of(options, options.name))
    if settings is None or settings.study_file is None:
        raise UsageError(
            f"the study {options.name!r} remembers no study file.",
            "Only studies started from a study file can be resumed by their name.",
            "Resume it with the script that started it.",
        )
    places = places_of_study(options.name, settings, places_of(options))
    show_study_file(options)
    named = partial(source_named_by_storage, settings.study_file, options.name)
    source = asking_for_trust(named, options.trust)
    return _run(source, options, places.run_dir)


def status_command(options: argparse.Namespace) -> int:
    """Show the status of studies."""
    if options.watch:
        return _watch(options)
    statuses = [_status_of(options, options.name)] if options.name is not None else _all_statuses(options)
    if options.json:
        as_dicts = [dataclasses.asdict(status) for status in statuses]
        say_json(as_dicts[0] if options.name else as_dicts)
    elif statuses:
        from autotune.terminal import print_statuses

        print_statuses(statuses)
    else:
        from autotune.running.storages import saved_storage

        places = places_of(options)
        say(f"No studies yet in {places.shown_storage()}.")
        if (saved := saved_storage(places.storage)) is not None:
            say(f"A lost storage was saved: --storage {saved}")
    return DONE


def _status_of(options: argparse.Namespace, name: str) -> StudyStatus:
    from autotune.results.summary import study_status
    from autotune.running.study import understanding

    with understanding(name):
        return study_status(study_of(options, name), places_of(options))


def _all_statuses(options: argparse.Namespace) -> list[StudyStatus]:
    """Return the status of all studies; print one line for each study that cannot be read."""
    import optuna

    from autotune.results.summary import study_status
    from autotune.running.planning import study_names
    from autotune.running.study import understanding

    storage, places, found = storage_of(options), places_of(options), []
    if storage is None:
        return []
    for name in study_names(storage):
        try:
            with understanding(name):
                found.append(study_status(optuna.load_study(study_name=name, storage=storage), places))
        except AutotuneError as error:  # behind a proxy the storage itself raises the error
            say(f"Skipped: {error.happened}", sys.stderr)
    return found


def best_command(options: argparse.Namespace) -> int:
    """Show the best trial of a study."""
    from autotune.results.summary import best_trial, nothing_complete, pareto_front
    from autotune.running.study import understanding
    from autotune.terminal import print_best, print_front

    with understanding(options.name):
        study, places = study_of(options, options.name), places_of(options)
        best, front = best_trial(study, places), pareto_front(study, places)
    if best is None:
        raise nothing_complete(options.name)
    if options.json:
        shown = dataclasses.asdict(best) | (
            {"pareto_front": [dataclasses.asdict(one) for one in front]} if front else {}
        )
        say_json(shown)
    else:
        print_front(front)
        print_best(best)
    return DONE


def dashboard_command(options: argparse.Namespace) -> int:
    """Serve optuna-dashboard."""
    from autotune.results.dashboard import serve_dashboard, stores_left_out, studies_left_out
    from autotune.results.summary import nothing_there
    from autotune.running.storages import open_existing_storage
    from autotune.training.checkpoints import store_url

    places = places_of(options)
    if storage_of(options) is None or (storage := open_existing_storage(places.storage)) is None:
        raise nothing_there(places)  # none is created, but it is opened for writing: notes can be edited

    artifacts = [store_url(given) for given in options.artifacts]

    def announce(url: str) -> None:
        say(f"Dashboard: {url}  (Ctrl-C ends it)")
        for name in studies_left_out(storage):
            say(f"Skipped: the study {name[:100]!r} cannot be understood.", sys.stderr)
        for store, name in stores_left_out(storage, places.run_dir, artifacts).items():
            there = f"The files of {name!r} are kept in {store} and not shown."
            say(f"{there} If you trust it: --artifacts {shlex.quote(store)}")

    serve_dashboard(storage, places.run_dir, options.port, announce, artifacts)
    return DONE


def serve_command(options: argparse.Namespace) -> int:
    """Serve a storage to other machines."""
    from autotune.running.storages import serve_storage

    def announce(url: str) -> None:
        say(f"Serving {places_of(options).shown_storage()}: use --storage {url}  (Ctrl-C ends it)")

    serve_storage(places_of(options).storage, options.host, options.port, announce)
    return DONE


def datasets_command(options: argparse.Namespace) -> int:
    """List the named datasets."""
    from autotune.data.sources import available

    for dataset in available(places_of(options).data_dir):
        state = "ready" if dataset.present else "missing"
        say(f"{dataset.name:<19}{state:<9}{dataset.description}")
        say(f"{'':<28}{dataset.where if dataset.present else dataset.how_to_get}")
    return DONE


def _run(study: str | StudySource, options: argparse.Namespace, run_dir: str | Path | None) -> int:
    import optuna

    from autotune.progress import new_console, new_progress
    from autotune.results.summary import study_status
    from autotune.running.engine import run
    from autotune.running.tracking import RunStarted
    from autotune.terminal import print_result, print_stopped

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    begun: list[RunStarted] = []
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(new_progress(new_console()))

        def observe(event: Event) -> None:
            if isinstance(event, RunStarted):
                begun.append(event)
            progress(event)

        try:
            found = run(study, observer=observe, **{**taken_by(run, options), "run_dir": run_dir})
        except KeyboardInterrupt:
            stack.close()
            print_stopped(begun[0].name if begun else None, where(options))
            return STOPPED
    status = study_status(found)
    was_complete = bool(begun) and begun[0].finished >= begun[0].n_trials
    if was_complete:
        say(f"Nothing to do: {status.study} has the trials that were asked for. For more: --trials N")
    print_result(status, where(options), may_go_on=status.why_over is None)
    if not was_complete:
        from autotune.results.advice import note_advice

        note_advice(found)
    return DONE


def _watch(options: argparse.Namespace) -> int:
    import optuna

    from autotune.progress import new_console, new_progress
    from autotune.results.summary import settings_of, study_status
    from autotune.running.study import folder_to_look_at, understanding
    from autotune.running.tracking import watch_study
    from autotune.terminal import print_watched

    if options.name is None or options.json:
        raise UsageError(
            f"--watch {'and --json do not go together' if options.json else 'needs the name of a study'}.",
            "It shows the progress of one study to people; --json prints the status of studies for programs.",
            "autotune status NAME --watch",
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = study_of(options, options.name)
    with understanding(options.name):
        settings = settings_of(study)
        folder = folder_to_look_at(options.name, settings, places_of(options))
        with new_progress(new_console()) as progress:
            watch_study(study, settings, progress, folder=folder)
        status = study_status(study, places_of(options))
    print_watched(status, where(options))
    return DONE


_COMMANDS = {
    "check": check_command,
    "run": run_command,
    "resume": resume_command,
    "finalize": finalize_command,
    "learning-curve": learning_curve_command,
    "status": status_command,
    "best": best_command,
    "export": export_command,
    "explain": explain_command,
    "replay": replay_command,
    "report": report_command,
    "refine": refine_command,
    "dashboard": dashboard_command,
    "serve": serve_command,
    "datasets": datasets_command,
}

if __name__ == "__main__":
    sys.exit(main())
