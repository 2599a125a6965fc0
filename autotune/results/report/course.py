"""The sections on the history of the search: values, learning curves, time, failures."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import datetime

from optuna.trial import FrozenTrial, TrialState

from autotune.figures import Finished, all_curves, history, time_spent
from autotune.results.advice import Story
from autotune.results.report.page import Section, paragraph, picture, table
from autotune.running.tracking import failure_reason, last_words
from autotune.search.history import first_value
from autotune.search.transfer import taken_over, worth
from autotune.training.records import seconds_of

_N_BEST = 4
_MOST_CURVES = 400  # beside them: more cover each other
_MOST_WORDS = 200
_EPOCH = datetime(1970, 1, 1)


def course(story: Story) -> Section:
    """Return the section with the values of the trials against what was spent."""
    trials = _in_order_of_their_end(story)
    if not trials:
        return Section("History", "")
    steps = "epochs" if story.settings and story.settings.monitor else "reports"
    steps = steps if any(trial.epochs for trial in trials) else "trials"
    if steps == "trials":
        trials = [Finished(t.number, t.value, n, t.hours, t.is_pruned) for n, t in enumerate(trials, 1)]
    figure = history(trials, story.metric, story.maximize, story.baseline_value, steps)
    pruned = sum(trial.is_pruned for trial in trials)
    caption = (
        f"{story.metric} of {len(trials)} finished trials, {pruned} of them pruned (at their last report), and the "
    )
    caption += f"best so far; {trials[-1].epochs:,} {steps} in all."
    best = story.best[0].number if story.best else None
    learned = worth(taken_over(story.trials), best)
    return Section("History", picture(figure, "history", caption) + (paragraph(learned) if learned else ""))


def _in_order_of_their_end(story: Story) -> list[Finished]:
    ended = sorted(story.finished, key=lambda trial: trial.datetime_complete or _EPOCH)
    began = min((trial.datetime_start for trial in ended if trial.datetime_start), default=None)
    found: list[Finished] = []
    spent = 0
    for trial in ended:
        spent += story.epochs_of(trial)
        value = _last_value(trial)
        if value is None:
            continue
        passed = (trial.datetime_complete - began).total_seconds() if trial.datetime_complete and began else 0.0
        found.append(Finished(trial.number, value, spent, passed / 3600, trial.state == TrialState.PRUNED))
    return found


def _last_value(trial: FrozenTrial) -> float | None:
    if trial.state == TrialState.COMPLETE:
        return first_value(trial)
    return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None


def curves(story: Story) -> Section:
    """Return the section with the learning curves of the best, of the pruned and of the baseline."""
    found = {trial.number: story.curve_of(trial) for trial in story.finished}
    found = {number: curve for number, curve in found.items() if len(curve) > 1}
    if not found:
        return Section("Learning curves", "")
    best = [trial.number for trial in story.best if trial.number in found][:_N_BEST]
    others = [number for number in found if number not in best]
    shown = others[:: math.ceil(len(others) / _MOST_CURVES) or 1]
    pruned = [trial.number for trial in story.finished if trial.state == TrialState.PRUNED]
    baseline = story.curve_of(story.baseline) if story.baseline else None
    figure = all_curves(
        {number: found[number] for number in (*best, *shown)}, best, pruned, baseline, story.metric, story.maximize
    )
    others_shown = "all others" if shown == others else f"{len(shown)} of the {len(others):,} others"
    caption = (
        f"{story.metric} after each epoch: the {len(best)} best trials in colour, {others_shown} faint; a cross is "
    )
    caption += "where a trial was pruned."
    if any(
        max(trial.intermediate_values, default=0) > max(story.curve_of(trial), default=0) for trial in story.finished
    ):
        caption += " With several folds it is the first one's curve."
    return Section("Learning curves", picture(figure, "curves", caption))


def time(story: Story) -> Section:
    """Return the section about where the time went, and what failed."""
    return Section("Time and failures", _time(story) + _failures(story))


def _time(story: Story) -> str:
    ended = [trial for trial in story.trials if trial.state.is_finished() and trial.duration]
    hours: defaultdict[str, float] = defaultdict(float)
    for trial in ended:
        spent = trial.duration.total_seconds() / 3600 if trial.duration else 0.0
        if trial.state == TrialState.FAIL:
            hours["failed trials"] += spent
            continue
        if (seconds := seconds_of(trial)) is None:
            hours["trials"] += spent
            continue
        fit, process = seconds
        hours["training"] += fit / 3600
        hours["overhead"] += max(0.0, process - fit) / 3600
        hours["waiting or lost"] += max(0.0, spent - process / 3600)
    if not sum(hours.values()):
        return ""
    caption = (
        "Training is the time in Model.fit; overhead is starting, data, building, tracing and saving; trials wait "
    )
    caption += "or lose time when they are interrupted, started anew, or their results are written down."
    if "training" not in hours:
        caption = "The time of all trials together, from start to end."
    order = ("training", "trials", "overhead", "waiting or lost", "failed trials")
    return picture(time_spent({name: hours[name] for name in order if hours[name]}), "time", caption)


def _failures(story: Story) -> str:
    failed = [trial for trial in story.trials if trial.state == TrialState.FAIL]
    if not failed:
        return paragraph("No trial has failed.") if story.trials else ""
    reasons = Counter(map(failure_reason, failed))
    last = {failure_reason(trial): trial for trial in failed}
    words = {reason: last_words(trial)[:_MOST_WORDS] for reason, trial in last.items()}
    rows = [[reason, n, f"trial {last[reason].number}", words[reason]] for reason, n in reasons.items()]
    return "<h3>Failed trials, by reason</h3>" + table(["reason", "trials", "last", "its last words"], rows)
