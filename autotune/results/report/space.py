"""The sections on hyperparameters: importance, effects, all trials, search space."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from autotune.figures import Tried, effect, importance_bars, interaction, parallel_coordinates
from autotune.results.advice import FEWEST, Story, looked_at, short, strongest_interaction
from autotune.results.report.page import Section, paragraph, picture, table
from autotune.search.history import describe, first_value

_MOST_EFFECTS = 6
_MOST_LINES = 12  # hyperparameters beside each other
_BEST_LINES, _MOST_OTHER_LINES = 40, 400  # trials


def importance(story: Story) -> Section:
    """Return the section that says how much each hyperparameter matters."""
    if not story.finished or not _names(story):
        return Section("Importance", "")
    if not story.important:
        return Section(
            "Importance",
            paragraph(
                f"With {len(story.finished)} finished trials nothing can be said yet; it takes {FEWEST} at least."
            ),
        )
    certain = [one.name for one in story.important if one.is_certain]
    said = f"Beyond chance: {', '.join(certain)}." if certain else "None stands out from chance."
    figure = importance_bars(
        [one.name for one in story.important],
        [one.share for one in story.important],
        [(one.low, one.high) for one in story.important],
    )
    caption = "How much each hyperparameter has to do with a trial being among the better ones (PED-ANOVA, less what "
    caption += "shuffled results give; intervals by resampling trials). A bar whose interval reaches zero may be noise."
    if len(used := looked_at(story.finished)) < len(story.finished):
        caption += f" {len(used):,} of the {len(story.finished):,} finished trials, over the whole of the search."
    left_out = [name for name in _names(story) if name not in {one.name for one in story.important}]
    caption += f" Left out, since less than {FEWEST} trials vary it: {', '.join(left_out)}." if left_out else ""
    return Section("Importance", paragraph(said) + picture(figure, "importance", caption))


def effects(story: Story) -> Section:
    """Return the section with a picture for each hyperparameter that matters, and the strongest interaction."""
    names = [one.name for one in story.important if one.is_certain] or [one.name for one in story.important[:2]]
    if not names:
        return Section("Effects", "")
    results = [_value(trial) for trial in story.finished]
    pruned = [trial.state == TrialState.PRUNED for trial in story.finished]
    ranges = _ranges(story)
    pictures = "".join(
        picture(
            effect(_tried(story.finished, name, ranges[name]), results, pruned, story.metric),
            f"effect-{number}",
            f"{story.metric} by {name}: complete trials, the median and the middle half; ticks below are pruned ones.",
        )
        for number, name in enumerate(names[:_MOST_EFFECTS])
    )
    return Section("Effects", f'<div class="pictures">{pictures}</div>{_interaction(story, names)}')


def _interaction(story: Story, names: list[str]) -> str:
    found = strongest_interaction(story.best, [one.name for one in story.important[:_MOST_EFFECTS]])
    if found is None:
        return paragraph("No two of them depend on each other beyond chance.") if len(names) > 1 else ""
    ranges = _ranges(story)
    first, second = (_tried(story.finished, name, ranges[name]) for name in (found.first, found.second))
    figure = interaction(first, second, _goodness(story))
    caption = f"The strongest interaction: what is good for {found.first} depends on {found.second} "
    caption += f"(two-way analysis of variance, p = {found.p_value:.2g})."
    return "<h3>Strongest interaction</h3>" + picture(figure, "interaction", caption)


def parallel(story: Story) -> Section:
    """Return the section with all trials through all hyperparameters."""
    names = _names(story)
    if len(names) < 2 or len(story.finished) < 2:
        return Section("All trials", "")
    ordered = [one.name for one in story.important if one.name in names]
    drawn = (ordered + [name for name in names if name not in ordered])[:_MOST_LINES]
    goodness, ranges = _goodness(story), _ranges(story)
    shown = _best_and_some(goodness)
    trials = [story.finished[position] for position in shown]
    figure = parallel_coordinates(
        [_tried(trials, name, ranges[name]) for name in drawn], [goodness[position] for position in shown]
    )
    caption = "Each line is a finished trial, red for the best; a gap is a hyperparameter it was not asked for."
    if len(shown) < len(goodness):
        caption += (
            f" The {_BEST_LINES} best and {len(shown) - _BEST_LINES} of the {len(goodness) - _BEST_LINES:,} others."
        )
    if len(drawn) < len(names):
        caption += f" The {len(drawn)} most important of {len(names)}."
    return Section("All trials", picture(figure, "parallel", caption))


def searched(story: Story) -> Section:
    """Return the section with the space as it was searched."""
    rows = []
    for name in _names(story):
        having = [trial for trial in story.finished if name in trial.params]
        best = story.winner.params.get(name) if story.winner else None
        rows.append([name, describe(having[-1].distributions[name]), len(having), "" if best is None else short(best)])
    if not rows:
        return Section("Search space", "")
    return Section("Search space", table(["hyperparameter", "range", "trials asked for it", "winner"], rows))


def _names(story: Story) -> list[str]:
    return list(dict.fromkeys(name for trial in story.finished for name in trial.params))


def _ranges(story: Story) -> dict[str, BaseDistribution]:
    """Return the range of each hyperparameter in the newest trial that was asked for it."""
    return {name: distribution for trial in story.finished for name, distribution in trial.distributions.items()}


def _tried(trials: Sequence[FrozenTrial], name: str, distribution: BaseDistribution) -> Tried:
    values = [trial.params[name] if trial.distributions.get(name) == distribution else None for trial in trials]
    return Tried(name, distribution, values)


def _best_and_some(goodness: Sequence[float]) -> list[int]:
    """Return the places of the best trials in the list, and of the others as many as a picture can show."""
    ranked = sorted(range(len(goodness)), key=lambda position: -goodness[position])
    best, others = ranked[:_BEST_LINES], ranked[_BEST_LINES:]
    return sorted(best + others[:: math.ceil(len(others) / _MOST_OTHER_LINES) or 1])


def _goodness(story: Story) -> list[float]:
    last = max(1, len(story.places) - 1)
    return [1 - place / last for place in story.places]


def _value(trial: FrozenTrial) -> float:
    value = first_value(trial) if trial.state == TrialState.COMPLETE else None
    return math.nan if value is None else value
