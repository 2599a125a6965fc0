"""The sections on explanations of the model and on data efficiency."""

from __future__ import annotations

from autotune.errors import UsageError
from autotune.escaping import as_html
from autotune.figures import coloured_words
from autotune.results.advice import Story
from autotune.results.data_efficiency import read_learning_curve
from autotune.results.explanation import Explanation, pictures_of, read_explanation
from autotune.results.report.page import Section, commands, paragraph, picture, table
from autotune.training.outputs import COLOURS, Example, Findings, described, in_features, in_numbers

_NOBODY = "Nobody has looked yet:"


def model(story: Story) -> Section:
    """Return the section about what the model sees; how to have it where nobody has looked."""
    title = "What the model sees"
    if story.settings is None or story.settings.monitor is None or not story.best:
        return Section(title, "")
    try:
        found = read_explanation(story.study, story.folder)
    except UsageError as error:
        happened = error.happened[:1].upper() + error.happened[1:]
        return Section(title, paragraph(f"{happened} {error.expected} {error.fix}"))
    if found is None:
        return Section(title, paragraph(_NOBODY) + commands([story.command("explain")]))
    return Section(title, shown(found))


def shown(found: Explanation) -> str:
    """Return what a model sees, as HTML."""
    subject, n_rows = found.subject, found.findings[0].n_rows
    which = "the confirmed winner" if subject.is_winner else "the best trial of the search whose model is kept"
    intro = paragraph(
        f"The model of trial {subject.trial}, {which}, on {n_rows:,} rows of its holdout. It was "
        "not trained on them; that they helped to choose it makes it look a little better than it is."
    )
    return intro + "".join(map(_output, found.findings))


def _output(findings: Findings) -> str:
    """Return what is found about one output, under its name if there are others."""
    body = f"<h3>Output {as_html(findings.output)}</h3>" if findings.output else ""
    if lines := in_numbers(findings):
        body += paragraph(" ".join(lines))
    if findings.kind == "nothing":
        return body + paragraph(f"There is nothing else to show: {findings.why_nothing}")
    for one in pictures_of(findings):
        body += picture(one.figure, f"seen-{one.name}", one.caption)
    body += _texts(findings.worst, findings.wrong, findings) or _largest_errors(findings)
    typical = (
        "Rows that it is right about" if findings.kind == "classes" else "Typical rows, from the median to the best"
    )
    body += _texts(typical, findings.right, findings)
    if findings.why_no_reasons:
        body += paragraph(f"What it looks at is not known: {findings.why_no_reasons}")
    return body


def _texts(heading: str, examples: tuple[Example, ...], findings: Findings) -> str:
    """Return texts with their words on the colours of what they contribute; nothing for what is no text."""
    lines = [_text(one, findings) for one in examples if any(len(given.words) > 1 for given in one.inputs)]
    has_reasons = any(one.for_predicted is not None for one in examples)
    note = paragraph(COLOURS[findings.kind], "faint") if has_reasons else ""
    return f"<h3>{heading}</h3>{note}<ul>{''.join(lines)}</ul>" if lines else ""


def _text(example: Example, findings: Findings) -> str:
    parts = [as_html(described(example, findings))]
    for at, given in enumerate(example.inputs):
        if len(given.words) > 1:
            values = example.for_predicted.values[at] if example.for_predicted is not None else None
            words = as_html(" ".join(given.words)) if values is None else coloured_words(given.words, values)
            parts.append(f'<span class="words">{words}</span>')
    return f"<li>{'<br>'.join(parts)}</li>"


def _largest_errors(findings: Findings) -> str:
    """Return the rows whose numbers are predicted worst as a table; nothing of other outputs."""
    if findings.kind != "numbers":
        return ""
    rows = [[one.position, described(one, findings), in_features(one)] for one in findings.wrong]
    columns = ["row", "error", "features"] if any(features for *_, features in rows) else ["row", "error"]
    return "<h3>The largest errors</h3>" + table(columns, [row[: len(columns)] for row in rows])


def data(story: Story) -> Section:
    """Return the section about what more data would bring; how to have it where nobody has measured."""
    title = "Data efficiency"
    if story.settings is None or story.settings.monitor is None or not story.best:
        return Section(title, "")
    curve = read_learning_curve(story.study)
    if curve is None:
        return Section(
            title,
            paragraph("Nobody has measured yet what more rows bring:") + commands([story.command("learning-curve")]),
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
