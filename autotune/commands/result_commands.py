"""The commands about results: each parses its options, calls one function, and prints the result."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from autotune.commands.options import DONE, FAILED, STOPPED, show_study_file, taken_by, where
from autotune.escaping import say, say_json

if TYPE_CHECKING:
    from autotune.results.data_efficiency import LearningCurve
    from autotune.results.final import FinalResult, Unfinished

_T = TypeVar("_T")
_Result = TypeVar("_Result", "FinalResult", "LearningCurve")


def finalize_command(options: argparse.Namespace) -> int:
    """Confirm the best trials, refit the winner, and test it once."""
    from autotune.results.final import finalize
    from autotune.terminal import print_final

    return _train_again("finalize", options, finalize, print_final)


def learning_curve_command(options: argparse.Namespace) -> int:
    """Train the winner on more and more rows."""
    from autotune.results.data_efficiency import learning_curve
    from autotune.terminal import print_learning_curve

    return _train_again("learning-curve", options, learning_curve, print_learning_curve)


def _train_again(
    command: str,
    options: argparse.Namespace,
    work: Callable[..., _Result | Unfinished],
    show: Callable[[_Result], None],
) -> int:
    """Train configurations of a study again with `work`, and print the result, or how to resume."""
    import optuna

    from autotune.progress import new_console, new_progress
    from autotune.results.final import Unfinished
    from autotune.terminal import asking_for_trust, print_stopped

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def train(trust: bool) -> _Result | Unfinished:
        with new_progress(new_console(stderr=options.json)) as progress:
            return work(options.name, observer=progress, **{**taken_by(work, options), "trust": trust})

    show_study_file(options)
    try:
        result = asking_for_trust(train, options.trust)
    except KeyboardInterrupt:
        print_stopped(options.name, where(options), command)
        return STOPPED
    if isinstance(result, Unfinished):
        stream = sys.stderr if options.json else sys.stdout
        say(f"{result.study}: {result.finished} of {result.n_trials} trained.", stream)
        say(f"Go on:  autotune {command} {shlex.quote(options.name)}{where(options)}", stream)
        if options.json:
            say_json({"unfinished": dataclasses.asdict(result)})
    elif options.json:
        say_json(result.as_dict())
    else:
        show(result)
    return DONE


def export_command(options: argparse.Namespace) -> int:
    """Write a model and its card."""
    from autotune.results.export import export
    from autotune.running.study import understanding

    with understanding(options.name):
        written = export(**taken_by(export, options))
    if not written.is_final:
        say("This is the best trial of the search, neither confirmed nor tested; for that: autotune finalize")
    say(f"Model:  {written.model}")
    say(f"Card:   {written.card}")
    return DONE


def _once_trusted(work: Callable[..., _T], options: argparse.Namespace) -> _T:
    """Call `work`, which runs the study file that the storage names, once the user trusts this file."""
    from autotune.terminal import asking_for_trust

    show_study_file(options)
    given = taken_by(work, options)
    return asking_for_trust(lambda trust: work(options.name, **{**given, "trust": trust}), options.trust)


def explain_command(options: argparse.Namespace) -> int:
    """Show the confusion matrix and the attributions of a study's model."""
    from autotune.results.explanation import explain, write_pictures
    from autotune.terminal import print_explanation

    try:
        found = _once_trusted(explain, options)
    except KeyboardInterrupt:
        return STOPPED
    print_explanation(found, write_pictures(found))
    return DONE


def replay_command(options: argparse.Namespace) -> int:
    """Train a finished trial again and compare."""
    from autotune.results.export import replay
    from autotune.terminal import print_replay

    found = _once_trusted(replay, options)
    print_replay(found)
    return DONE if found.is_same else FAILED


def report_command(options: argparse.Namespace) -> int:
    """Write the report of a study."""
    from autotune.results.report import write_report
    from autotune.running.study import understanding

    with understanding(options.name):
        path = write_report(**taken_by(write_report, options))
    say(f"Report: {path}")
    return DONE


def refine_command(options: argparse.Namespace) -> int:
    """Print the ranges of the next search."""
    from autotune.results.advice import refine, story_of
    from autotune.running.study import understanding
    from autotune.terminal import print_refinement

    with understanding(options.name):
        refined = refine(story_of(**taken_by(story_of, options)))
    print_refinement(refined)
    return DONE
