"""The sections on explanations of the model and on data efficiency."""

from __future__ import annotations

from html import escape

from autotune.errors import UsageError
from autotune.figures import coloured_words
from autotune.results.advice import Story
from autotune.results.data_efficiency import read_learning_curve
from autotune.results.explanation import (
    Example,
    Explanation,
    Findings,
    described,
    explanation_figures,
    in_features,
    read_explanation,
)
from autotune.results.report.page import Section, commands, paragraph, picture, table

_NOBODY = "Nobody has looked yet. For one array of inputs, and one class or number for each row:"
_CAPTIONS = {
    "confusion": "True classes by predicted ones, on rows that the model was not trained on; bold counts are mistakes.",
    "predictions": "What is predicted against what is true, on rows that the model was not trained on.",
    "mistakes": "The mistakes that the model is surest of. Orange speaks for the class, blue against it (integrated "
    "gradients).",
    "right": "Rows that it is right about. Orange speaks for the class, blue against it (integrated gradients).",
}


def model(story: Story) -> Section:
    """Return the section about what the model sees; how to have it where nobody has looked."""
    title = "What the model sees"
    if story.settings is None or story.settings.monitor is None or not story.best:
        return Section(title, "")
    try:
        found = read_explanation(story.study, story.folder)
    except UsageError as error:
        return Section(title, paragraph(str(error)))
    if found is None:
        return Section(title, paragraph(_NOBODY) + commands([f"autotune explain {story.study.study_name}"]))
    return Section(title, shown(found))


def shown(found: Explanation) -> str:
    """Return what a model sees, as HTML."""
    subject, findings = found.subject, found.findings
    which = "the confirmed winner" if subject.is_winner else "the best trial of the search whose model is kept"
    right = f", {findings.n_right:,} of which it is right about" if findings.confusion is not None else ""
    body = paragraph(
        f"The model of trial {subject.trial}, {which}, on the {findings.n_rows:,} rows of its holdout{right}. It was "
        "not trained on them; that they helped to choose it makes it look a little better than it is."
    )
    for name, figure in explanation_figures(findings).items():
        body += picture(figure, f"seen-{name}", _CAPTIONS.get(name, name))
    body += _texts("The mistakes that it is surest of", findings.wrong, findings)
    body += _texts("Rows that it is right about", findings.right, findings)
    body += _largest_errors(findings)
    if findings.why_no_reasons:
        body += paragraph(f"What it looks at is not known: {findings.why_no_reasons}")
    return body


def _texts(heading: str, examples: tuple[Example, ...], findings: Findings) -> str:
    """Return texts with their words on the colours of what they contribute; nothing for what is no text."""
    lines = [
        f"<li>{escape(described(one, findings))}<br>"
        f'<span class="words">{coloured_words(one.words, one.for_predicted.values)}</span></li>'
        for one in examples
        if one.words and one.for_predicted is not None
    ]
    note = paragraph("Orange speaks for the predicted class, blue against it (integrated gradients).", "faint")
    return f"<h3>{heading}</h3>{note}<ul>{''.join(lines)}</ul>" if lines else ""


def _largest_errors(findings: Findings) -> str:
    """Return the rows of a table whose numbers are predicted worst; nothing of classes, or of other rows."""
    if findings.confusion is not None or not findings.features:
        return ""
    rows = [
        [one.position, one.true, one.predicted, one.predicted - one.true, in_features(one, findings)]
        for one in findings.wrong
    ]
    columns = ["row", "true", "predicted", "error", "features"]
    return "<h3>The largest errors</h3>" + table(columns, rows)


def data(story: Story) -> Section:
    """Return the section about what more data would bring; how to have it where nobody has measured."""
    title = "Data efficiency"
    if story.settings is None or story.settings.monitor is None or not story.best:
        return Section(title, "")
    curve = read_learning_curve(story.study)
    if curve is None:
        return Section(
            title,
            paragraph("Nobody has measured yet what more rows bring:")
            + commands([f"autotune learning-curve {story.study.study_name}"]),
        )
    rows = [[point.fraction, point.n_rows, point.mean, point.standard_error] for point in curve.points]
    whose = "baseline" if curve.candidate == "baseline" else f"trial {curve.candidate}"
    caption = (
        f"{whose} ({'the winner' if curve.is_final else 'the best of the search'}), trained {curve.repeats} times "
    )
    caption += "on each part of the rows"
    caption += "; the line is a power law with its 95 % band, dashed where nothing was trained." if curve.law else "."
    shown = picture(curve.draw(), "data-efficiency", caption)
    return Section(
        title,
        paragraph(curve.sentence) + shown + table(["part", "rows", curve.monitor, "standard error"], rows),
    )
