"""Print the results of commands: status, best trial, candidates, data efficiency, explanation.

`status` and `best` must answer at once, so functions for other commands import slow modules when they need them.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

from autotune.escaping import one_line, say
from autotune.progress import new_console

if TYPE_CHECKING:
    from autotune.results.advice import Refinement
    from autotune.results.data_efficiency import LearningCurve, PowerLaw
    from autotune.results.explanation import Explanation
    from autotune.results.export import ReplayedTrial
    from autotune.results.final import Confirmation, Estimate, FinalResult, TestScore
    from autotune.results.summary import BestTrial, StudyStatus
    from autotune.training.outputs import Example, Findings

_SHOWN = 5  # pairs of classes
_LEFT = {"study", "trial", "candidate", "by seed"}  # columns of words
_WRAPPED = {"trial", "candidate", "failed", "time left", "workers"}  # columns that may be broken into lines


def print_result(status: StudyStatus, where: str, may_go_on: bool) -> None:
    """Print the result of a run, and the commands that the user can run next.

    Args:
        status: The study after the run.
        where: The options with which another command finds the study, e.g. " --run-dir DIR".
        may_go_on: Whether anything is left to try.
    """
    finished = status.complete + status.pruned
    failed = sum(status.failed.values())
    say("")
    say(
        f"{status.study}: {finished} of {status.n_trials} trials finished: "
        f"{status.complete} complete, {status.pruned} pruned; {failed} failed"
    )
    if status.best is not None:
        print_best(status.best)
    _print_taken_over(status)
    if may_go_on:
        is_short = status.n_trials is not None and finished < status.n_trials
        more = "" if is_short else f" --trials {finished * 2}"
        say(f"{'Go on:' if is_short else 'More: '}  autotune resume {shlex.quote(status.study)}{more}{where}")
    say(f"Watch:  autotune dashboard{where}")
    say(f"Read:   autotune report {shlex.quote(status.study)}{where}")


def print_watched(status: StudyStatus, where: str) -> None:
    """Print why `status --watch` has ended.

    Args:
        status: The study by now.
        where: The options with which another command finds the study.
    """
    finished = status.complete + status.pruned
    of = f"{finished} of {status.n_trials} trials finished"
    if status.why_over is not None:
        say(f"{status.study} has ended, {of}: {status.why_over}")
    elif status.n_trials is not None and finished >= status.n_trials:
        say(f"{status.study} has ended, {of}.")
    else:
        say(f"Nobody runs {status.study} now: {of}.")
        say(f"Go on:  autotune resume {shlex.quote(status.study)}{where}")
    if status.best is not None:
        print_best(status.best)


def print_best(best: BestTrial) -> None:
    """Print the best trial."""
    at = f", best epoch {best.epoch}" if best.epoch is not None else ""
    say(f"Best {best.monitor or 'value'}: {best.value:.6g} (trial {best.trial}{at}, {best.direction})")
    for name, cost in best.costs.items():
        say(f"  {name}: {cost:,.6g}{' ms' if name == 'latency' else ''}")
    for name, value in best.params.items():
        say(f"  {name} = {value!r}")
    if best.model is not None:
        say(f"Model:  {best.model}")


def print_front(front: Sequence[BestTrial]) -> None:
    """Print the Pareto front; nothing if it is empty."""
    if not front:
        return
    say(f"Pareto front: {len(front)} trials that no other one beats in everything")
    _print_table(
        ("trial", front[0].monitor or "value", *map(_with_unit, front[0].costs)),
        [(str(one.trial), f"{one.value:.6g}", *(f"{cost:,.6g}" for cost in one.costs.values())) for one in front],
    )


def print_final(result: FinalResult) -> None:
    """Print the final result: the confirmed candidates, and the winner on the test rows."""
    from autotune.results.final import BASELINE

    confirmation = result.confirmation
    monitor = result.monitor or "value"
    say("")
    say(f"{result.study}: each candidate trained with {confirmation.repeats} new seeds ({monitor})")
    _print_candidates(confirmation)
    if confirmation.remark:
        say(confirmation.remark)
    winner = confirmation.candidate(confirmation.winner)
    say(f"Winner: {_named(winner.name)}{_why(confirmation)}")
    for name, value in winner.params.items():
        say(f"  {name} = {value!r}")
    if confirmation.versus_baseline is not None:
        verdict = "beats the baseline" if confirmation.beats_baseline else "does not beat the baseline beyond noise"
        say(f"It {verdict}: {_difference(confirmation.versus_baseline)}")
    elif winner.name == BASELINE:
        say("No candidate beats the baseline: it wins itself.")
    if result.test is not None:
        _print_test(result.test, result.epochs or 1)
    if result.models:
        say(f"Models: {', '.join(result.models)}")


def _print_candidates(confirmation: Confirmation) -> None:
    rows = []
    costs = [name for name in confirmation.candidates[0].costs if name != "parameters"]  # those are the weights
    shown = ("confirmed", "std. error", "search showed", "optimism", "weights", *map(_with_unit, costs))
    for one in confirmation.candidates:
        confirmed, versus = one.confirmed, one.versus_best
        is_best = one is confirmation.candidates[0]
        cells = (
            _named(one.name) + (" *" if one.name == confirmation.winner else ""),
            f"{confirmed.mean:.5f}" if confirmed else "",
            f"{confirmed.standard_error:.5f}" if confirmed else "",
            f"{one.searched:.5f}" if one.searched is not None else "",
            f"{one.optimism:+.5f}" if one.optimism is not None else "",
            f"{one.n_parameters:,}" if one.n_parameters is not None else "",
            *(f"{one.costs[name]:.3g}" if name in one.costs else "" for name in costs),
            f"{versus.mean:.5f} (p = {versus.p_value:.2g})" if versus and not is_best else "",
            str(one.n_failed or ""),
        )
        rows.append(cells)
    _print_table(("candidate", *shown, "behind the best", "failed"), rows)


def _print_test(test: TestScore, epochs: int) -> None:
    found = test.estimate
    seeds = f"{len(test.values)} seeds, {epochs} epoch{'s' if epochs > 1 else ''} on all development rows"
    say(
        f"Test {test.metric}: {found.mean:.5f}, 95 % interval {found.low:.5f} to {found.high:.5f} "
        f"({test.n_rows:,} rows, {seeds}; opened once, {test.opened})"
    )
    if test.unmeasured is not None:
        others = ", ".join(f"{name} {value:.5f}" for name, value in sorted(test.others.items()))
        say(f"  {test.why_unmeasured}" + (f"; measured: {others}" if others else ""))
    say(f"  by seed: {', '.join(f'{value:.5f}' for value in test.values)}")
    if test.baseline is not None and test.versus_baseline is not None:
        say(f"  baseline, trained the same way: {test.baseline:.5f}; {_difference(test.versus_baseline)}")


def print_learning_curve(curve: LearningCurve) -> None:
    """Print the data efficiency: the metric on growing parts of the rows, and the prediction at twice the rows."""
    which = "winner" if curve.is_final else "best trial so far, not confirmed"
    say("")
    say(f"{curve.study}: {_named(curve.candidate)} ({which}) trained with {curve.repeats} seeds on more and more rows")
    rows = [
        (
            f"{point.fraction:g}",
            f"{point.n_rows:,.0f}",
            f"{point.mean:.5f}",
            f"{point.standard_error:.5f}" if point.standard_error is not None else "",
            ", ".join(f"{value:.4f}" for value in point.values),
        )
        for point in curve.points
    ]
    _print_table(("fraction", "rows", curve.monitor, "std. error", "by seed"), rows)
    if curve.n_failed:
        say(f"{curve.n_failed} trainings have failed.")
    if curve.law is not None:
        say(f"{curve.error} = {_formula(curve.law)}")
    say(curve.sentence)


def _formula(law: PowerLaw) -> str:
    a, b, c = (f"{one.value:.3g} ({one.low:.3g} to {one.high:.3g})" for one in (law.a, law.b, law.c))
    return f"a * (rows / {law.n_max:,.0f}) ** -b + c from {law.n_min:,.0f} rows on: a = {a}, b = {b}, c = {c}"


def _with_unit(cost: str) -> str:
    return f"{cost} (ms)" if cost == "latency" else cost


def _named(name: str) -> str:
    return f"trial {name}" if name.isdigit() else name


def _why(confirmation: Confirmation) -> str:
    best, costs = confirmation.candidates[0].name, confirmation.candidates[0].costs
    if len(confirmation.candidates) == 1:
        return ", the only candidate"
    if confirmation.winner != best:
        return f", the {'cheapest' if costs else 'smallest'} of those within one standard error of {_named(best)}"
    return ", better than the runner-up by more than noise" if confirmation.is_clear else ", no better than noise"


def _difference(found: Estimate) -> str:
    return f"by {found.mean:+.5f}, 95 % interval {found.low:+.5f} to {found.high:+.5f}, p = {found.p_value:.2g}"


def print_refinement(refined: Refinement) -> None:
    """Print the next search as lines of a study file."""
    say(f"# The next search after {refined.study}: for `build` and `fit`, in place of the lines with these names")
    for one in refined.hyperparameters:
        if one.why:
            say("")
            say(f"# {one.why}")
        say(one.line)
    if refined.enqueue:
        say("")
        say("# for StudySpec: begin with the best")
        say("enqueue=[")
        for params in refined.enqueue:
            say(f"    {dict(params)!r},")
        say("],")
    for advice in refined.advice:
        say("")
        say(f"# {advice.text}")
        say(f"#   {advice.evidence}")


def print_explanation(explanation: Explanation, pictures: Sequence[Path]) -> None:
    """Print for each output of a model its confusions and the worst rows, and the paths of the figures."""
    subject = explanation.subject
    which = "the confirmed winner" if subject.is_winner else "the best of the search whose model is kept"
    say(f"Model:  trial {subject.trial}, {which} ({subject.monitor} {subject.value:.6g})")
    say(f"Rows:   {explanation.findings[0].n_rows:,} of its holdout, which it was chosen by and not trained on")
    for findings in explanation.findings:
        _print_findings(findings)
    if pictures:
        say(f"Pictures: {', '.join(map(str, pictures))}")


def _print_findings(findings: Findings) -> None:
    """Print what is found about one output, under its name if there are others."""
    from autotune.training.outputs import described, in_features, in_numbers

    if findings.output:
        say(f"Output {findings.output}:")
    for line in in_numbers(findings):
        say(line)
    if findings.kind == "nothing":
        say(f"There is nothing else to show: {findings.why_nothing}")
        return
    _print_confusions(findings)
    if findings.wrong:
        say(f"{findings.worst}:")
    for example in findings.wrong:
        say(f"  row {example.position}: {described(example, findings)}")
        features = [in_features(example)] if findings.kind in ("classes", "numbers") else []
        for line in filter(None, [*_in_words(example), *features]):
            say(f"    {line}")
    if findings.why_no_reasons:
        say(f"What it looks at is not known: {findings.why_no_reasons}")


def _print_confusions(findings: Findings) -> None:
    confused = findings.confused()
    if findings.confusion is None or not confused:
        return
    say("Most often confused:")
    for true, taken, count in confused[:_SHOWN]:
        n = int(findings.confusion[true].sum())
        say(
            f"  {findings.class_names[true]} read as {findings.class_names[taken]}: {count} of {n:,} {findings.counted}"
        )


def _in_words(example: Example) -> list[str]:
    """Return each text of an example, and a line with the words that speak most for what is predicted."""
    found = []
    for at, given in enumerate(example.inputs):
        if len(given.words) > 1 or (given.words and given.row.ndim == 0 and not given.name):
            reasons = example.for_predicted
            values = None if reasons is None else reasons.values[at]
            found += [" ".join(given.words), *([] if values is None else _loudest(given.words, values))]
    return found


def _loudest(words: Sequence[str], values: npt.NDArray[np.float64]) -> list[str]:
    chosen = [at for at in np.argsort(-values)[:3] if values[at] > 0]
    return ["by " + ", ".join(f"{words[at]} {values[at]:+.2f}" for at in chosen)] if chosen else []


def print_replay(found: ReplayedTrial) -> None:
    """Print the comparison of a replayed trial with the stored one."""
    if found.stored is not None:
        say(f"trial {found.trial}: {found.stored!r} then, {found.again!r} now")
    different = {step: values for step, values in found.steps.items() if values[0] != values[1]}
    if found.is_same:
        say(f"The same, bit for bit: {'the value and ' if found.stored is not None else ''}{len(found.steps)} reports.")
    else:
        say(f"NOT the same: {len(different)} of {len(found.steps)} reports differ.")
    for step, (before, now) in list(different.items())[:5]:
        say(f"  step {step}: {before!r} then, {now!r} now")


def print_stopped(name: str | None, where: str, command: str = "resume") -> None:
    """Print that a signal has stopped the study, and how to resume; `name` is None if no trial was started yet."""
    if name is None:
        say("Stopped before a trial was started; nothing is lost. Go on with the same command.", sys.stderr)
        return
    go_on = f"autotune {command} {shlex.quote(name)}{where}"
    say(f"Stopped. What was running waits with all its finished epochs. Go on:  {go_on}", sys.stderr)


def print_statuses(statuses: list[StudyStatus]) -> None:
    """Print a table with a line for each study."""
    columns = ("study", "finished", "complete", "pruned", "failed", "running", "waiting", "best", "trials/h")
    rows = [
        (
            s.study,
            f"{s.complete + s.pruned}/{s.n_trials if s.n_trials is not None else '?'}",
            str(s.complete),
            str(s.pruned),
            ", ".join(f"{count} {reason}" for reason, count in s.failed.items()) or "0",
            str(s.running),
            str(s.waiting) + (f" ({s.tried_again} after an error)" if s.tried_again else ""),
            f"{s.best.value:.6g}" if s.best else "",
            f"{s.trials_per_hour:.0f}" if s.trials_per_hour else "",
            _time_left(s),
            str(s.workers),
        )
        for s in statuses
    ]
    _print_table((*columns, "time left", "workers"), rows)
    for s in statuses:
        if s.last_failure is not None:
            say(f"{s.study}: the last failure is of {s.last_failure}")
        if s.why_over is not None:
            say(f"{s.study}: {s.why_over}")
        _print_taken_over(s, f"{s.study}: ")


def _print_taken_over(status: StudyStatus, before: str = "") -> None:
    from autotune.search.transfer import worth

    if said := worth(status.taken_over, status.best.trial if status.best else None):
        say(before + said)


def _time_left(status: StudyStatus) -> str:
    if status.seconds_left is not None:
        return f"{status.seconds_left / 60:.0f} min"
    finished = status.complete + status.pruned
    is_missing = status.n_trials is not None and finished < status.n_trials and status.why_over is None
    return "nobody runs it" if is_missing and not status.workers else ""


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with plain text in its cells; Rich's markup is not interpreted."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        justify: Literal["left", "right"] = "left" if column in _LEFT else "right"
        table.add_column(Text(one_line(column)), justify=justify, no_wrap=column not in _WRAPPED)
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    # A file or a pipe gets the whole width, so that no column is cut off.
    new_console(width=None if sys.stdout.isatty() else 250).print(table)
