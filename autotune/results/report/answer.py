"""The sections on the question, the answer, the winner and advice."""

from __future__ import annotations

from collections import Counter
from typing import Any

from optuna.trial import TrialState

from autotune.results.advice import Story
from autotune.results.final import BASELINE, Candidate, Estimate, FinalResult
from autotune.results.report.page import Section, commands, items, paragraph, table
from autotune.results.summary import pareto_front
from autotune.search.history import first_value


def head(story: Story) -> str:
    """Return the question and the answer."""
    question = paragraph(story.question) if story.question else ""
    leaks = story.settings.leaks if story.settings else ""
    doubt = f'<div class="answer">{paragraph(leaks)}</div>' if leaks else ""
    answer = f'<div class="answer">{paragraph(_answer(story))}</div>'
    return question + answer + doubt + paragraph(_state(story), "faint")


def _answer(story: Story) -> str:
    if story.result is not None:
        return f"{_chosen(story.result)} {_tested(story.result)}"
    if not story.best:
        failed = sum(trial.state == TrialState.FAIL for trial in story.trials)
        why = f" All {failed} that have ended have failed: see below why." if failed and not story.finished else ""
        return f"No trial is complete yet, so there is no answer.{why}"
    best = story.best[0]
    return (
        f"The best of {len(story.best)} complete trials is trial {best.number} with {story.metric} "
        f"{_number(first_value(best))}. It is the luckiest of many and not confirmed: "
        f"{story.command('finalize')} trains the best again with new seeds and tests the winner once."
    )


def _chosen(result: FinalResult) -> str:
    confirmation = result.confirmation
    winner = confirmation.candidate(confirmation.winner)
    assert winner.confirmed is not None
    named = "The baseline" if winner.name == BASELINE else f"Trial {winner.name}"
    found = f"{named} wins with {result.monitor or 'value'} {_estimated(winner.confirmed)}, confirmed over "
    found += f"{confirmation.repeats} new seeds"
    if confirmation.versus_baseline is None:
        return found + ("." if winner.name != BASELINE else ": nothing that was tried beats it.")
    verdict = "beats the baseline" if confirmation.beats_baseline else "does not beat the baseline beyond noise"
    return f"{found}, and {verdict} ({_difference(confirmation.versus_baseline)})."


def _tested(result: FinalResult) -> str:
    test = result.test
    if test is None:
        return "There are no test rows, so this is what is to be expected of it."
    return (
        f"On {test.n_rows:,} test rows that no trial ever saw it has {test.metric} {_estimated(test.estimate)}, the "
        f"mean of {len(test.values)} trainings on all development rows."
    )


def _state(story: Story) -> str:
    states = Counter(trial.state for trial in story.trials)
    named = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
        TrialState.RUNNING: "running",
        TrialState.WAITING: "waiting",
    }
    counts = ", ".join(f"{states[state]} {word}" for state, word in named.items() if states[state]) or "none yet"
    total = f" of {story.settings.n_trials}" if story.settings else ""
    return (
        f"Trials: {counts}{total and f' ({states[TrialState.COMPLETE] + states[TrialState.PRUNED]}{total} finished)'}."
    )


def winner(story: Story) -> Section:
    """Return the section about the winner, its hyperparameters and its figures."""
    if story.winner is None and story.result is None:
        return Section("Winner", "")
    if story.result is not None:
        params = story.result.confirmation.candidate(story.result.confirmation.winner).params
    else:
        params = story.winner.params if story.winner else {}
    body = (
        table(["hyperparameter", "value"], [[name, _plain(value)] for name, value in params.items()]) if params else ""
    )
    if story.result is not None:
        body += _confirmation(story.result) + _test(story.result)
    elif story.best:
        body += "<h3>The best trials of the search</h3>" + _best(story)
    return Section("Winner", body + _front(story))


def _confirmation(result: FinalResult) -> str:
    confirmation = result.confirmation
    names = [one.name for one in confirmation.candidates]
    rows = [_row(one, is_best=number == 0) for number, one in enumerate(confirmation.candidates)]
    splits = f". {confirmation.remark} They" if confirmation.remark else " and splits, the same for all, so that they"
    note = (
        f"Each was trained with {confirmation.repeats} new seeds{splits} are compared in pairs. Optimism is by how "
        "much the search had shown too good a value. Among those within one standard error of the best the smallest "
        "network is chosen."
    )
    columns = ["candidate", result.monitor or "value", "standard error", "search showed", "optimism", "weights"]
    columns += ["behind the best", "p", "failed"]
    return "<h3>Confirmation</h3>" + paragraph(note) + table(columns, rows, names.index(confirmation.winner))


def _row(one: Candidate, is_best: bool) -> list[Any]:
    versus = None if is_best else one.versus_best
    return [
        one.name if one.name == BASELINE else f"trial {one.name}",
        one.confirmed.mean if one.confirmed else None,
        one.confirmed.standard_error if one.confirmed else None,
        one.searched,
        one.optimism,
        one.n_parameters,
        versus.mean if versus else None,
        float(f"{versus.p_value:.2g}") if versus else None,
        one.n_failed or None,
    ]


def _test(result: FinalResult) -> str:
    test = result.test
    if test is None:
        return ""
    rows = [["winner", test.estimate.mean, test.estimate.low, test.estimate.high]]
    if test.baseline is not None:
        rows.append(["baseline, trained the same way", test.baseline, None, None])
    found = "<h3>Test</h3>" + table([f"test {test.metric}", "mean", "95 % from", "to"], rows, 0)
    found += paragraph(f"By seed: {', '.join(_number(value) for value in test.values)}. Opened once, {test.opened}.")
    if test.unmeasured is not None:
        found += paragraph(f"{test.why_unmeasured}.")
    if test.versus_baseline is not None:
        found += paragraph(f"The winner is ahead of the baseline {_difference(test.versus_baseline)}.")
    return found


def _best(story: Story) -> str:
    rows = [[f"trial {trial.number}", first_value(trial)] for trial in story.best[:5]]
    return table(["trial", story.metric], rows, 0)


def _front(story: Story) -> str:
    front = pareto_front(story.study)
    if not front:
        return ""
    rows = [[f"trial {one.trial}", one.value, *one.costs.values()] for one in front]
    heading = "<h3>Pareto front</h3>" + paragraph("The trials that no other one beats in everything.")
    return heading + table(["trial", story.metric, *front[0].costs], rows)


def advice(story: Story) -> Section:
    """Return the section with what to do differently in the next search."""
    body = items((one.text, one.evidence) for one in story.advice)
    if body:
        body += paragraph("The ranges of the next study file, and the trials to begin it with:")
        body += commands([story.command("refine")])
    return Section("Advice", body)


def _difference(found: Estimate) -> str:
    return f"by {found.mean:+.4g}, 95 % interval {found.low:+.4g} to {found.high:+.4g}, p = {found.p_value:.2g}"


def _estimated(found: Estimate) -> str:
    return f"{_number(found.mean)} (95 % interval {_number(found.low)} to {_number(found.high)})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _plain(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
